// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "config/read.hpp"
#include "policy/config_keys.hpp"

namespace weir::detail {
namespace {

// The key of a table that is not inherited as a whole: its keys are inherited one by one.
constexpr std::string_view kUser = "user";

void mark_inherited(Node& node) {
  node.position.inherited = true;
  if (auto* list = node.as<Node::List>()) {
    for (Node& value : *list) mark_inherited(value);
  }
  if (auto* table = node.as<Node::Table>()) {
    for (Node::Member& member : *table) mark_inherited(member.value);
  }
}

// Each missing key is taken from [defaults], with its whole value.
void fill_in(Node& limits, const Node& defaults, const KeyTable& table) {
  for (const Key& key : table.keys) {
    const Node* given = defaults.find(key.name);
    if (given == nullptr || key.name == kUser || limits.find(key.name) != nullptr) continue;
    mark_inherited(limits.add(std::string(key.name), *given));
  }
}

void fill_in(Node& operation, const Node& defaults) {
  if (operation.as<Node::Table>() == nullptr) return;  // the reader of the tree will refuse it
  fill_in(operation, defaults, kOperationTable);
  const Node* user = defaults.find(kUser);
  if (user == nullptr) return;
  if (operation.find(kUser) == nullptr) operation.add(std::string(kUser), {Node::Table{}, user->position});
  if (Node* own = operation.find(kUser); own->as<Node::Table>() != nullptr) fill_in(*own, *user, kLimitTable);
}

}  // namespace

void inherit(Node& root) {
  const Node* defaults = root.find("defaults");
  Node* operations = root.find("operations");
  if (defaults == nullptr || operations == nullptr) return;
  if (auto* table = operations->as<Node::Table>()) {
    for (Node::Member& operation : *table) fill_in(operation.value, *defaults);
  }
}

}  // namespace weir::detail

#include <string_view>

#include "config/fields.hpp"
#include "config/read.hpp"

namespace weir::detail {
namespace {

void mark_inherited(Node& node) {
  node.place.inherited = true;
  if (auto* list = node.as<Node::List>()) {
    for (Node& value : *list) mark_inherited(value);
  }
  if (auto* table = node.as<Node::Table>()) {
    for (Node::Member& member : *table) mark_inherited(member.value);
  }
}

// Each key has its own default; the value of a key is taken whole.
void fill_in(Node& limits, const Node& defaults, Names keys) {
  for (const std::string_view key : keys) {
    const Node* given = defaults.find(key);
    if (given == nullptr || limits.find(key) != nullptr) continue;
    Node copy = *given;
    mark_inherited(copy);
    limits.add(std::string(key), std::move(copy));
  }
}

void fill_in(Node& operation, const Node& defaults) {
  if (operation.as<Node::Table>() == nullptr) return;  // a mistake; its reader says so
  constexpr Names kShared = Names(kOperationKeys).first(kOperationKeys.size() - 1);
  static_assert(kOperationKeys.back() == "user");
  fill_in(operation, defaults, kShared);
  const Node* user = defaults.find("user");
  if (user == nullptr) return;
  if (operation.find("user") == nullptr) operation.add("user", {Node::Table{}, user->place});
  if (Node* own = operation.find("user"); own->as<Node::Table>() != nullptr) fill_in(*own, *user, kUserKeys);
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

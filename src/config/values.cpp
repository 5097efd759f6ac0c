// SPDX-License-Identifier: Apache-2.0
#include "config/values.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/read.hpp"
#include "config/write.hpp"

namespace weir {
namespace {

using detail::KeyPath;
using detail::Node;

constexpr const char* kNone = "none";

Result<Node> changed(const Config& config, const std::vector<ConfigChange>& changes) {
  Node root = detail::save_to_tree(config);
  for (const ConfigChange& change : changes) {
    WEIR_TRY(const KeyPath path, detail::parse_key(change.key, root));
    if (path.front() == detail::KeyStep("defaults")) {
      return Error{Errc::config,
                   detail::escaped(detail::path_text(path)) + ": [defaults] exists only in a file",
                   "set the value of an operation, as in operations.x.rate"};
    }
    WEIR_TRY_VOID(detail::edit(root, path, change.to, {}));
  }
  return root;
}

using Texts = std::map<std::string, std::string>;  ///< values in TOML, by their keys

/// How many steps of a key name the whole that its value belongs to (an operation or an override); 0: none.
std::size_t whole_of(const KeyPath& key) {
  if (key.front() == detail::KeyStep("operations")) return 2;
  return key.front() == detail::KeyStep("overrides") ? 3 : 0;
}

/// The operations and overrides that only one of two trees has. Each of them is one change.
Texts wholes_only_in(const Node& root, const Node& other) {
  Texts wholes;
  for (const KeyPath& names : {KeyPath{"operations"}, KeyPath{"overrides", "users"}}) {
    const detail::Found here = detail::find_node(root, names);
    if (!here.whole) continue;
    for (const auto& [name, value, position] : *here.node->as<Node::Table>()) {
      KeyPath key = names;
      key.emplace_back(name);
      if (!detail::find_node(other, key).whole)
        wholes.emplace(detail::path_text(key), detail::inline_text(value));
    }
  }
  return wholes;
}

/// The values of a tree, in order, without those that belong to the given wholes.
std::vector<std::pair<std::string, std::string>> values_without(const Node& root, const Texts& wholes) {
  std::vector<std::pair<std::string, std::string>> values;
  for (detail::SavedValue& value : detail::values_of(root)) {
    const auto whole = std::span(value.section).first(whole_of(value.section));
    if (value.name.empty() || wholes.count(detail::path_text(whole)) != 0) continue;
    values.emplace_back(detail::path_text(value.key()), std::move(value.text));
  }
  return values;
}

}  // namespace

namespace detail {

Result<void> apply_unchecked(Config& config, const std::vector<ConfigChange>& changes) {
  WEIR_TRY(const Node root, changed(config, changes));
  WEIR_TRY(config, load_unchecked(root));
  return {};
}

}  // namespace detail

std::vector<ConfigValue> config_values(const Config& config) {
  std::vector<ConfigValue> values;
  for (detail::SavedValue& value : detail::values_of(detail::save_to_tree(config))) {
    values.push_back({detail::path_text(value.key()), std::move(value.text), {}});
  }
  return values;
}

std::vector<ConfigChange> config_difference(const Config& from, const Config& to) {
  const Node before = detail::save_to_tree(from);
  const Node after = detail::save_to_tree(to);
  const Texts gone = wholes_only_in(before, after);
  const Texts come = wholes_only_in(after, before);
  const auto old_values = values_without(before, gone);
  const auto new_values = values_without(after, come);
  const Texts old_texts(old_values.begin(), old_values.end());
  const Texts new_texts(new_values.begin(), new_values.end());
  std::vector<ConfigChange> changes;
  for (const auto& [key, text] : gone) changes.push_back({key, text, kNone});
  for (const auto& [key, text] : old_values) {
    if (new_texts.count(key) == 0) changes.push_back({key, text, kNone});
  }
  for (const auto& [key, text] : new_values) {
    const auto old = old_texts.find(key);
    const std::string was = old == old_texts.end() ? kNone : old->second;
    if (was != text) changes.push_back({key, was, text});
  }
  for (const auto& [key, text] : come) changes.push_back({key, kNone, text});
  return changes;
}

Result<void> set_value(Config& config, std::string_view key, std::string_view value) noexcept {
  return detail::guarded([&] { return apply_changes(config, {{std::string(key), {}, std::string(value)}}); });
}

Result<void> apply_changes(Config& config, const std::vector<ConfigChange>& changes) noexcept {
  return detail::guarded([&]() -> Result<void> {
    WEIR_TRY(const Node root, changed(config, changes));
    WEIR_TRY(config, detail::load_from_tree(root));
    return {};
  });
}

}  // namespace weir

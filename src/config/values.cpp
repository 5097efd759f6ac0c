// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/result.hpp"
#include "config/edit.hpp"
#include "config/read.hpp"
#include "config/write.hpp"

namespace weir {
namespace {

using detail::KeyPath;
using detail::Node;

constexpr const char* kNone = "none";

using Texts = std::map<std::string, std::string>;  ///< values in TOML, by their keys

/// Takes those operations and overrides out of a configuration that another one lacks. Each of them is one change.
Texts take_wholes(Config& config, const Config& other) {
  const Node root = detail::save_to_tree(config);
  Texts wholes;
  const auto take = [&](auto& named, const auto& others, const KeyPath& names) {
    std::erase_if(named, [&](const auto& entry) {
      if (others.contains(entry.first)) return false;
      KeyPath key = names;
      key.emplace_back(entry.first);
      wholes.emplace(detail::path_text(key), detail::inline_text(*detail::find_node(root, key).node));
      return true;
    });
  };
  take(config.operations, other.operations, {"operations"});
  take(config.users, other.users, {"overrides", "users"});
  return wholes;
}

/// The values of a configuration in order, without an operation that has none. A key that is left out stands with the value
/// that is in force.
std::vector<std::pair<std::string, std::string>> texts_of(const Config& config) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (detail::SavedValue& value : detail::values_of(config, detail::Defaults::written)) {
    if (!value.name.empty()) texts.emplace_back(detail::path_text(value.key()), std::move(value.text));
  }
  return texts;
}

}  // namespace

std::vector<ConfigValue> config_values(const Config& config) {
  std::vector<ConfigValue> values;
  for (detail::SavedValue& value : detail::values_of(config)) {
    values.push_back({detail::path_text(value.key()), std::move(value.text), {}});
  }
  return values;
}

std::vector<ConfigChange> config_difference(const Config& from, const Config& to) {
  Config before = from;
  Config after = to;
  const Texts gone = take_wholes(before, to);
  const Texts come = take_wholes(after, from);
  const auto old_values = texts_of(before);
  const auto new_values = texts_of(after);
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
    WEIR_TRY(config, detail::changed_tree(config, changes).and_then(detail::load_from_tree));
    return {};
  });
}

}  // namespace weir

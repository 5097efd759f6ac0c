// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "config/document.hpp"
#include "policy/config_keys.hpp"
#include "policy/key_path.hpp"

namespace weir::detail {

/// Whether keys of a section that have their default are written, too. Those of [segment] always are, those of one limit
/// never.
enum class Defaults : std::uint8_t { left_out, written };

/// Writes a configuration as a tree, in the order of the file format and with each value in its shortest form.
[[nodiscard]] Node save_to_tree(const Config& config, Defaults defaults = Defaults::left_out);

/// A value as a node of a tree.
template <class Value>
[[nodiscard]] Node written(const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    const Names names = names_of(value);
    const auto index = static_cast<std::size_t>(value);
    return {std::string(index < names.size() ? names[index] : "?"), {}};
  } else if constexpr (std::is_same_v<Value, std::chrono::nanoseconds>) {
    return {format_exact_duration(value), {}};
  } else if constexpr (std::is_same_v<Value, std::uint32_t> || std::is_same_v<Value, std::uint64_t>) {
    return {static_cast<std::int64_t>(value), {}};
  } else {
    return {value, {}};
  }
}
/// The member that a setting names, as a node of a tree.
template <class T, class Setting>
[[nodiscard]] Node written(const T& from, const Setting& setting) {
  return written(from.*setting.member);
}
template <class T>
[[nodiscard]] Node written(const T& from, const Octal<T>& setting) {
  return {fmt::format("{:04o}", from.*setting.member), {}};
}

template <class T>
[[nodiscard]] Node written(const T& from, const Shares<T>& setting) {
  Node::List list;
  for (const std::uint8_t share : from.*setting.member) list.push_back(written(std::uint32_t{share}));
  return {std::move(list), {}};
}

template <class T>
[[nodiscard]] Node written(const T& from, const CountOrOff<T>& setting) {
  const std::uint32_t count = (from.*setting.member).value_or(0);
  return count == 0 ? written(std::string(kOff)) : written(count);
}

/// Writes one value in TOML, on one line.
[[nodiscard]] std::string inline_text(const Node& value);

/// One value of a configuration.
struct SavedValue {
  KeyPath section;   ///< the table of the file in which it stands
  std::string name;  ///< empty: the table has no values, as that of an operation without limits
  std::string text;  ///< TOML

  [[nodiscard]] KeyPath key() const {
    KeyPath key = section;
    if (!name.empty()) key.emplace_back(name);
    return key;
  }
};
/// All values of a configuration, in the order of the file format.
[[nodiscard]] std::vector<SavedValue> values_of(const Config& config, Defaults defaults = Defaults::left_out);

}  // namespace weir::detail

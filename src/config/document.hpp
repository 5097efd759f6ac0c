// SPDX-License-Identifier: Apache-2.0
#pragma once

// A configuration as a tree of values, each with the position at which it was written. Files, the environment and
// values set by key all become such a tree, and one reader turns it into a Config.

#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weir/error.hpp"

#include "base/text.hpp"

namespace weir::detail {

/// Where a value was written.
struct SourcePosition {
  std::shared_ptr<const std::string> origin;  ///< a file, or "environment X"; null: not written anywhere
  std::uint32_t line = 0;                     ///< 0: the origin has no lines
  std::uint32_t column = 0;
  bool inherited = false;  ///< whether it was written in [defaults]

  /// As in "limits.toml:12:3".
  [[nodiscard]] std::string text() const {
    if (!origin) return {};
    return line == 0 ? *origin : fmt::format("{}:{}:{}", *origin, line, column);
  }

  /// The error for the value of a key that was written here.
  [[nodiscard]] Error error(std::string_view key, std::string_view problem, std::string hint) const {
    const std::string where = text();
    return {Errc::config, fmt::format("{}{}{}: {}", where, where.empty() ? "" : ": ", escaped(key), problem),
            std::move(hint)};
  }
};

/// A value with its position. Tables keep the order in which their keys were added.
struct Node {
  struct Member;
  using List = std::vector<Node>;
  using Table = std::vector<Member>;
  struct Date {};  ///< a date or time, which no key accepts

  std::variant<Date, std::string, std::int64_t, double, bool, List, Table> value;
  SourcePosition position;
  bool octal = false;  ///< whether an integer was written as in 0o600

  template <class T>
  [[nodiscard]] T* as() noexcept {
    return std::get_if<T>(&value);
  }
  template <class T>
  [[nodiscard]] const T* as() const noexcept {
    return std::get_if<T>(&value);
  }

  /// The value of a key; null if there is none, or if this is not a table.
  [[nodiscard]] const Node* find(std::string_view key) const noexcept;
  [[nodiscard]] Node* find(std::string_view key) noexcept;
  Node& add(std::string key, Node node);

  /// Whether a file says `false`, which takes away a limit that [defaults] would give.
  [[nodiscard]] bool switched_off() const noexcept {
    const bool* flag = as<bool>();
    return flag != nullptr && !*flag;
  }
};

struct Node::Member {
  std::string key;
  Node value;
  SourcePosition key_position;
};

inline const Node* Node::find(std::string_view key) const noexcept {
  if (const Table* table = as<Table>()) {
    for (const Member& member : *table) {
      if (member.key == key) return &member.value;
    }
  }
  return nullptr;
}

inline Node* Node::find(std::string_view key) noexcept {
  return const_cast<Node*>(std::as_const(*this).find(key));  // NOLINT: *this is not const
}

inline Node& Node::add(std::string key, Node node) {
  SourcePosition written_at = node.position;
  return std::get<Table>(value)
      .emplace_back(Member{std::move(key), std::move(node), std::move(written_at)})
      .value;
}

/// The kind of a value as errors name it, such as "a table".
inline std::string_view kind(const Node& node) {
  constexpr std::string_view kKinds[] = {"a date or time", "a string", "an integer", "a decimal number",
                                         "true or false",  "a list",   "a table"};
  return kKinds[node.value.index()];
}

}  // namespace weir::detail

#pragma once

// A configuration as it is written: a tree of values, each with the place it was written at. Files, the
// environment and values set by key all become one, and are read into a Config by the same reader.

#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.hpp"

namespace weir::detail {

/// Where a value was written.
struct Place {
  std::shared_ptr<const std::string> origin;  ///< a file, or "environment X"; null: nowhere
  std::uint32_t line = 0;                     ///< 0: the origin has no lines
  std::uint32_t column = 0;
  bool inherited = false;  ///< written in [defaults]

  /// "limits.toml:12:3"
  [[nodiscard]] std::string text() const {
    if (!origin) return {};
    return line == 0 ? *origin : fmt::format("{}:{}:{}", *origin, line, column);
  }
};

/// A value with its place. Tables keep the order in which their keys were added.
struct Node {
  struct Member;
  using List = std::vector<Node>;
  using Table = std::vector<Member>;
  struct Date {};  ///< what no key takes

  std::variant<Date, std::string, std::int64_t, double, bool, List, Table> value;
  Place place;
  bool octal = false;  ///< an integer written as 0o600

  template <class T>
  [[nodiscard]] T* as() noexcept {
    return std::get_if<T>(&value);
  }
  template <class T>
  [[nodiscard]] const T* as() const noexcept {
    return std::get_if<T>(&value);
  }

  /// The value of a key; null where there is none, or this is no table.
  [[nodiscard]] const Node* find(std::string_view key) const noexcept;
  [[nodiscard]] Node* find(std::string_view key) noexcept;
  void add(std::string key, Node node);
  void erase(std::string_view key);
};

struct Node::Member {
  std::string key;
  Node value;
  Place key_place;
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

inline void Node::add(std::string key, Node node) {
  Place written_at = node.place;
  std::get<Table>(value).push_back({std::move(key), std::move(node), std::move(written_at)});
}

inline void Node::erase(std::string_view key) {
  if (Table* table = as<Table>())
    std::erase_if(*table, [&](const Member& member) { return member.key == key; });
}

/// "a table", for errors.
inline std::string_view kind(const Node& node) {
  constexpr std::string_view kKinds[] = {"a date or time", "a string", "an integer", "a decimal number",
                                         "true or false",  "a list",   "a table"};
  return kKinds[node.value.index()];
}

/// A TOML string that is this text, and can be shown on a terminal: control characters are escaped, those
/// that UTF-8 writes in two bytes too.
inline std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : '\0';
    if (c == '"' || c == '\\') {
      result += {'\\', text[i]};
    } else if (c < ' ' || c == '\x7f') {
      result += fmt::format("\\u{:04x}", c);
    } else if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
      result += fmt::format("\\u{:04x}", next);
      ++i;
    } else {
      result += text[i];
    }
  }
  return result + '"';
}

/// A part of a key as it is written: in quotes, unless it consists of letters, digits, '_' and '-'.
inline std::string key_part(std::string_view name) {
  constexpr std::string_view kBare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const bool bare = !name.empty() && name.find_first_not_of(kBare) == name.npos;
  return bare ? std::string(name) : toml_string(name);
}

inline std::string joined(std::string_view path, std::string_view name) {
  return path.empty() ? key_part(name) : fmt::format("{}.{}", path, key_part(name));
}

}  // namespace weir::detail

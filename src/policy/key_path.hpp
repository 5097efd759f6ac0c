// SPDX-License-Identifier: Apache-2.0
#pragma once

// The path of a value in a configuration, as a list of steps and as text.

#include <cstddef>
#include <fmt/format.h>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/text.hpp"

namespace weir::detail {

/// One step into a configuration: the key of a table or the index of a list.
using KeyStep = std::variant<std::string, std::size_t>;
using KeyPath = std::vector<KeyStep>;

/// Quotes a text as a TOML string that is safe to show on a terminal: characters that would control the terminal or
/// mislead a reader are escaped.
inline std::string toml_string(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const Character next = first_character(text);
    if (text.front() == '"' || text.front() == '\\') {
      result += {'\\', text.front()};
    } else if (next.valid && next.misleads) {
      result += next.code <= 0xffff ? fmt::format("\\u{:04x}", static_cast<std::uint32_t>(next.code))
                                    : fmt::format("\\U{:08x}", static_cast<std::uint32_t>(next.code));
    } else {
      result += next.bytes;
    }
    text.remove_prefix(next.bytes.size());
  }
  return result + '"';
}

/// One part of a dotted key, in quotes unless it consists of letters, digits, '_' and '-'.
inline std::string key_part(std::string_view name) {
  return valid_name(name) && name.find('.') == name.npos ? std::string(name) : toml_string(name);
}

inline std::string joined(std::string_view path, std::string_view name) {
  return path.empty() ? key_part(name) : fmt::format("{}.{}", path, key_part(name));
}

/// Writes a path as in "operations.x.rate[1]".
inline std::string path_text(std::span<const KeyStep> path) {
  std::string text;
  for (const KeyStep& step : path) {
    if (const auto* index = std::get_if<std::size_t>(&step)) {
      text += fmt::format("[{}]", *index);
    } else {
      text = joined(text, std::get<std::string>(step));
    }
  }
  return text;
}

}  // namespace weir::detail

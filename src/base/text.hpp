// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "weir/policy.hpp"
#include "weir/text.hpp"

namespace weir::detail {

/// The first character of a text.
struct Character {
  std::string_view bytes;
  char32_t code = 0;
  bool valid = false;     ///< false: it is one byte that is not UTF-8
  bool misleads = false;  ///< it controls a terminal, changes the text around it, or cannot be seen
};
[[nodiscard]] Character first_character(std::string_view text) noexcept;

[[nodiscard]] bool valid_utf8(std::string_view text) noexcept;

// The names that a segment or an operation may have.
inline constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
inline constexpr const char* kNameForm = "1 to 64 letters, digits, '_', '-' and '.'";
static_assert(kMaxNameLength == 64);
[[nodiscard]] bool valid_name(std::string_view name) noexcept;

/// Text from a file, made safe to print on a terminal (weir/text.hpp) and cut if it is long.
inline std::string escaped(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  return printable(text, kLongest);
}

inline std::string quoted(std::string_view text) {
  return '"' + escaped(text) + '"';
}

}  // namespace weir::detail

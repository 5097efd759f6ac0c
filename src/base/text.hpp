#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "weir/text.hpp"

namespace weir::detail {

/// Text from a file, safe to print on a terminal (weir/text.hpp), cut where it gets long.
inline std::string escaped(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  if (text.size() <= kLongest) return printable(text);
  std::size_t end = kLongest;
  while (end > kLongest - 4 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80)
    --end;  // whole characters
  return printable(text.substr(0, end)) + "...";
}

inline std::string quoted(std::string_view text) {
  return '"' + escaped(text) + '"';
}

}  // namespace weir::detail

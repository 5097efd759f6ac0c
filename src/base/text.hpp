#pragma once

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::detail {

/// Text from a file, safe to print on a terminal: anything but printable ASCII as \x1b, cut where it gets
/// long.
inline std::string escaped(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  std::string result;
  for (const char c : text.substr(0, kLongest)) {
    const bool printable = c >= ' ' && c <= '~';
    result += printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text.size() > kLongest ? result + "..." : result;
}

inline std::string quoted(std::string_view text) {
  return '"' + escaped(text) + '"';
}

/// Levenshtein: how many letters to insert, delete or replace.
inline std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// The candidate that `name` was probably meant to be; empty if none is near.
inline std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongestWorthGuessing = 64;
  if (name.size() > kLongestWorthGuessing) return {};
  std::string_view best;
  std::size_t least =
      std::min<std::size_t>(3, (name.size() + 1) / 2 + 1);  // nearer than this, or it is a guess
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

}  // namespace weir::detail

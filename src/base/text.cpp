// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <numeric>
#include <vector>

namespace weir {
namespace {

/// A character and the number of bytes that it takes: 0 if the text does not begin with valid UTF-8.
struct Decoded {
  char32_t character = 0;
  std::size_t bytes = 0;
};

Decoded decode(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  char32_t character = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    character = character << 6 | (byte(i) & 0x3fU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // a longer form than needed is not valid
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  if (character < kLeast[length] || character > 0x10ffff || surrogate) return {};
  return {character, length};
}

/// Whether a character changes how the text around it looks, or cannot be seen.
bool misleads(char32_t character) noexcept {
  struct Range {
    char32_t first;
    char32_t last;
  };
  constexpr Range kRanges[] = {
      {0x00, 0x1f},       {0x7f, 0x9f},        // controls
      {0xad, 0xad},       {0x34f, 0x34f},      // soft hyphen, grapheme joiner
      {0x61c, 0x61c},     {0x115f, 0x1160},    // Arabic letter mark, Hangul fillers
      {0x17b4, 0x17b5},   {0x180b, 0x180f},    // Khmer and Mongolian marks
      {0x200b, 0x200f},   {0x2028, 0x202e},    // zero width, line ends, direction
      {0x2060, 0x206f},   {0x3164, 0x3164},    // invisible operators and isolates, Hangul filler
      {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},    // not characters; variants of the one before
      {0xfeff, 0xfeff},   {0xffa0, 0xffa0},    // byte order mark, Hangul filler
      {0xfff0, 0xfffb},   {0xe000, 0xf8ff},    // annotations; private use
      {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff}  // tags; private use
  };
  for (const Range& range : kRanges) {
    if (character >= range.first && character <= range.last) return true;
  }
  return (character & 0xfffeU) == 0xfffe;  // these are not characters either
}

/// The Levenshtein distance: how many letters must be inserted, deleted or replaced.
std::size_t edit_distance(std::string_view from, std::string_view to) {
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

}  // namespace

namespace detail {

Character first_character(std::string_view text) noexcept {
  const Decoded decoded = decode(text);
  const bool valid = decoded.bytes != 0;
  return {text.substr(0, valid ? decoded.bytes : 1), decoded.character, valid,
          valid && misleads(decoded.character)};
}

bool valid_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const Decoded decoded = decode(text);
    if (decoded.bytes == 0) return false;
    text.remove_prefix(decoded.bytes);
  }
  return true;
}

bool valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxNameLength &&
         name.find_first_not_of(kNameCharacters) == name.npos;
}

}  // namespace detail

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const detail::Character next = detail::first_character(text);
    if (next.valid && !next.misleads) {
      result += next.bytes;
    } else {
      for (const char c : next.bytes) result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    text.remove_prefix(next.bytes.size());
  }
  return result;
}

std::string printable(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return printable(text);
  std::size_t end = longest;
  const std::size_t least = longest - std::min<std::size_t>(longest, 4);  // no character has more bytes
  while (end > least && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80) --end;
  return printable(text.substr(0, end)) + "...";
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongestWorthGuessing = 64;
  if (name.size() > kLongestWorthGuessing) return {};
  std::string_view best;
  std::size_t least =
      std::min<std::size_t>(3, (name.size() + 1) / 2 + 1);  // a more distant name would be a guess
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

}  // namespace weir

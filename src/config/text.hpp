#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/expected.hpp"
#include "config/document.hpp"

namespace weir::detail {

/// A TOML file as a tree, with places from `start` on; without lines if that has none.
[[nodiscard]] Expected<Node> parse_document(std::string_view toml, const Place& start);

/// Printable ASCII, which is good TOML wherever it lands.
[[nodiscard]] inline bool plain_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

/// One value: TOML, or bare text that is none (60/min).
[[nodiscard]] Expected<Node> parse_value(std::string_view text, const Place& place);

/// What stands in quotes in a key.
[[nodiscard]] Expected<std::string> parse_quoted(std::string_view text);

}  // namespace weir::detail

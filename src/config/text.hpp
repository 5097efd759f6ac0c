// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "weir/error.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// A TOML file as a tree, with positions from `start` on; without lines if that has none.
[[nodiscard]] Result<Node> parse_document(std::string_view toml, const SourcePosition& start);

/// Printable ASCII, which is good TOML wherever it stands.
[[nodiscard]] inline bool plain_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

/// One value: TOML, or else bare text (60/min).
[[nodiscard]] Result<Node> parse_value(std::string_view text, const SourcePosition& position);

}  // namespace weir::detail

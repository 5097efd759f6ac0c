// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "weir/error.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// Parses a TOML file. Its values have positions in the file if `start` has a line, and else the position `start`.
[[nodiscard]] Result<Node> parse_document(std::string_view toml, const SourcePosition& start);

/// Whether a text is printable ASCII, which needs no escapes in TOML.
[[nodiscard]] inline bool plain_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

/// Parses one value: TOML, or text without quotes (60/min).
[[nodiscard]] Result<Node> parse_value(std::string_view text, const SourcePosition& position);

}  // namespace weir::detail

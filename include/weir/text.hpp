// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// Makes text of unknown origin safe to print on a terminal. Printable UTF-8 is kept. Control characters,
/// bytes that are not UTF-8, and characters that are invisible or change the direction of a line are written
/// byte by byte, as in \x1b.
[[nodiscard]] WEIR_EXPORT std::string printable(std::string_view text);
/// Does so with a text that may be long: it is cut between two characters after at most `longest` of its bytes, and
/// then ends in "...".
[[nodiscard]] WEIR_EXPORT std::string printable(std::string_view text, std::size_t longest);

/// Returns the candidate that a mistyped name was probably meant to be; empty if none is near.
[[nodiscard]] WEIR_EXPORT std::string_view nearest(std::string_view name,
                                                   std::span<const std::string_view> candidates);

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many of the cells that keep permits, logs and rings a limit takes. A record gets more cells than its limit needs,
// so that the limit can be raised live.

#include <cstdint>

#include "policy/compile.hpp"

namespace weir::detail {

/// The words that a record takes in a cells section, with room for raising the limit live.
[[nodiscard]] std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept;
[[nodiscard]] std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept;

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many cells a limit over all callers takes: cells keep its permits, the times in its log, its ring of counts, or
// its waiters. A record gets more cells than its limit needs today, so that the limit can be raised live.

#include <cstdint>

#include "policy/compile.hpp"

namespace weir::detail {

/// What a record takes in the section of permit cells, in that of window cells, and in that of seats; 0: none.
[[nodiscard]] std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept;
[[nodiscard]] std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept;
[[nodiscard]] std::uint32_t seats_for(std::uint32_t index, const LimitValue& value) noexcept;

}  // namespace weir::detail

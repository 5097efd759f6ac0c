// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which part of a cells section a limit gets, when a segment is made and when its limits are changed live. How many
// cells it needs: cells_needed.hpp.
//
// A part is given out once and stays with its record, so a limit that is taken out and comes back finds its cells
// again.

#include <cstdint>

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// What a change would take of the cells sections.
struct Room {
  std::uint64_t permit_cells = 0;
  std::uint64_t window_cells = 0;
  std::uint64_t seats = 0;
};
/// @param now  ticks.
[[nodiscard]] Result<Room> room_for(const Sections& sections, std::uint32_t block, const BlockValue& value,
                                    std::uint64_t now);

/// Gives a record more cells if its new value does not fit into those that it has.
/// Errors  Errc::no_space.
[[nodiscard]] Result<void> provide_cells(const Sections& sections, Block& block, std::uint32_t index,
                                         const LimitValue& value, std::uint64_t now);

}  // namespace weir::detail

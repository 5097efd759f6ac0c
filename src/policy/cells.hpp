// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cells that permits, logs and rings are kept in: how many a limit takes, and which part of a section it gets.
//
// A part is given out once and stays with its record. So there are more cells than the limit needs, in order that it
// can be raised live, and a record that comes back finds those that it had.

#include <cstdint>

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// Words that a record needs in a cells section, with room to be raised live.
[[nodiscard]] std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept;
[[nodiscard]] std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept;

/// Words of the cells sections that a change would take.
struct Room {
  std::uint64_t permit_cells = 0;
  std::uint64_t window_cells = 0;
};
/// @param now  ticks.
[[nodiscard]] Result<Room> room_for(const Sections& sections, std::uint32_t block, const BlockValue& value,
                                    std::uint64_t now);

/// Gives a record the cells that its new value needs, if those that it has will not do.
/// Errors  Errc::no_space.
[[nodiscard]] Result<void> provide_cells(const Sections& sections, Block& block, std::uint32_t index,
                                         const LimitValue& value, std::uint64_t now);

}  // namespace weir::detail

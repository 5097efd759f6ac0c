// SPDX-License-Identifier: Apache-2.0
#pragma once

// The times since when limits hold. A refund of an earlier admission gives nothing back under them, since it may not
// have been charged there.
//
//   since   kNotYet, then the limits change, then the turn moves, then the time
//   crash   kNotYet: nothing is given back until the next change calls finish_beginning()
//
// write_block() begins the limits that a block did not have before, in the same order.

#include <cstdint>
#include <span>

#include "control/running.hpp"
#include "policy/blocks.hpp"

namespace weir::detail {

/// Takes users' own limits out of use. From then on the limits of all users hold for them.
void retire_own_limits(const RunningSegment& running, std::span<const std::uint32_t> blocks);

/// Finishes what a killed change has begun in a block.
void finish_beginning(const RunningSegment& running, Block& block);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Carries what is owed over a change. Here are rates, and what users owe; write_block() does it for windows over all
// callers.

#include <cstdint>
#include <vector>

#include "control/running.hpp"
#include "policy/blocks.hpp"

namespace weir::detail {

/// The blocks in which anything is held or owed.
[[nodiscard]] std::vector<bool> blocks_held(const RunningSegment& running);

/// Clamps what was spent under the old parameters of a rate to what the new ones allow.
/// @param before  the parameters before the change; 0: there was no limit.
void carry_over(const RunningSegment& running, LimitRef ref, std::uint64_t before);

/// Converts the states of users under the windows of a block to the units of the parameters in force. Only the params
/// before the last change are known, so all states must be converted before the next one.
void settle_users(const RunningSegment& running, std::uint32_t block);

/// Clears the entries of users under the limits of a block in which nothing is owed: the block is about to get other
/// limits, and they would misread the old states.
void forget_users_of(const RunningSegment& running, std::uint32_t block);

}  // namespace weir::detail

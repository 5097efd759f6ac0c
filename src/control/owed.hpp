// SPDX-License-Identifier: Apache-2.0
#pragma once

// How what is owed outlives a change. Windows over all callers see to that themselves, in write_block(); here are
// rates, and what users owe.

#include <cstdint>
#include <vector>

#include "control/running.hpp"
#include "policy/blocks.hpp"

namespace weir::detail {

/// The blocks in which anything is held or owed.
[[nodiscard]] std::vector<bool> blocks_held(const RunningSegment& running);

/// Clamps what was spent under the old parameters of a rate to what the new ones allow.
/// @param before  the parameters before the change; 0: there was no such limit.
void carry_over(const RunningSegment& running, LimitRef ref, std::uint64_t before);

/// Puts the states of users under the windows of a block into the units of the parameters in force. A state is told
/// from those that were written before the last change, but not from older ones, so all are settled before the next.
void settle_users(const RunningSegment& running, std::uint32_t block);

/// Forgets what users who owe nothing left behind in a block: it would mean nothing to other limits.
void forget_users_of(const RunningSegment& running, std::uint32_t block);

}  // namespace weir::detail

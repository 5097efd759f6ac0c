// SPDX-License-Identifier: Apache-2.0
#pragma once

// Returns limits to "never seen" while workers use them: afterwards nothing is spent, no cooldown is on, and
// breakers are closed. Permits stay as they are: each is held by an admission that gives it back, or by a dead
// worker from which a sweep takes it. The same holds for the seats of queues.
//
// The words are reset one after the other while other processes decide, so a request may meet some of them
// before their reset and some after it. If the process is killed half-way, some words have been reset, and a
// second reset does the rest. With `dry_run` these functions only count what they would reset.

#include <cstdint>

#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// Resets all limits, including what each user owes.
ResetReport reset_all(const Segment& segment, const Sections& sections, bool dry_run = false) noexcept;

/// Resets the limits of one block, and what all users owe under them.
ResetReport reset_block(const Segment& segment, const Sections& sections, std::uint32_t block,
                        bool dry_run = false) noexcept;

/// Resets what one user owes under any limit.
ResetReport reset_user(const Sections& sections, UserTable& users, const UserKey& key,
                       bool dry_run = false) noexcept;

}  // namespace weir::detail

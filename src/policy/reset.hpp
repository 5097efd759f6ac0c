// SPDX-License-Identifier: Apache-2.0
#pragma once

// Returning limits to "never seen", live: nothing is spent, no cooldown is on, breakers are closed. Permits stay
// as they are: each is held by an admission that gives it back, or by a dead worker from which a sweep takes it.
//
// Words are reset one after the other, while other processes decide: a request may meet some of them before
// their reset and some after it. A reset that is killed half-way has reset some of them; another one does the
// rest. With `dry_run` they only count what they would reset.

#include <cstdint>

#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// Resets all limits, of all users too.
ResetReport reset_all(const Segment& segment, const Sections& sections, bool dry_run = false) noexcept;

/// Resets the limits of one block, and what all users owe under them.
ResetReport reset_block(const Segment& segment, const Sections& sections, std::uint32_t block,
                        bool dry_run = false) noexcept;

/// Resets what one user owes under any limit.
ResetReport reset_user(const Sections& sections, UserTable& users, const UserKey& key,
                       bool dry_run = false) noexcept;

}  // namespace weir::detail

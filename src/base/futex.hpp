// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sleeping on a shared word: futex(2), by its low half.
//
// The futexes are not private to the process: the kernel finds a sleeper by inode and offset, in named and unnamed
// segments alike.

#include <cstdint>

#include "weir/clock.hpp"

#include "base/word.hpp"

namespace weir::detail::futex {

/// Sleeps while the low half of `word` is `seen`, until it is woken or the time comes. It may also return for no reason.
void sleep_while(const Word& word, std::uint32_t seen, HostClock::time_point until) noexcept;

/// Wakes all that sleep there. @return whether any did: the kernel forgets sleepers that are killed or stopped.
bool wake(const Word& word) noexcept;

}  // namespace weir::detail::futex

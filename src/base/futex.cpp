// SPDX-License-Identifier: Apache-2.0
#include "base/futex.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::detail::futex {

void sleep_while(const Word& word, std::uint32_t seen, HostClock::time_point until) noexcept {
  const int saved = errno;
  const std::int64_t ns = std::max<std::int64_t>(until.time_since_epoch().count(), 0);
  const timespec at{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  // With a bit set the time is a point in time, by CLOCK_MONOTONIC, so a sleep that goes on after a signal does not
  // begin again.
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, seen, &at, nullptr, FUTEX_BITSET_MATCH_ANY);
  errno = saved;
}

bool wake(const Word& word) noexcept {
  const int saved = errno;
  const long woken = ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  errno = saved;
  return woken > 0;
}

}  // namespace weir::detail::futex

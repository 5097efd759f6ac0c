// SPDX-License-Identifier: Apache-2.0
#pragma once

// Time inside the segment is counted in ticks of 1/128 ns since the creation of the segment, in 64 bits. A
// segment can be used for 3.4 years; after that, words that were never touched would begin to look like
// debts.
//
// A tick is finer than a nanosecond because the interval of a token is a whole number of ticks: at 10 million
// tokens a second a nanosecond would be 1 % of it, a tick is 8e-5. Ticks are counted from the segment's
// creation so that a zeroed word lies in the past and means "never seen".

#include <cstdint>

namespace weir::detail {

inline constexpr unsigned kTickShift = 7;

constexpr std::uint64_t ticks_from_ns(std::uint64_t ns) noexcept {
  return ns << kTickShift;
}

/// Rounds up, so that a caller that waits this long is never early.
constexpr std::uint64_t ns_from_ticks(std::uint64_t ticks) noexcept {
  constexpr std::uint64_t below_one = (std::uint64_t{1} << kTickShift) - 1;
  return (ticks >> kTickShift) + ((ticks & below_one) != 0 ? 1 : 0);
}

}  // namespace weir::detail

#pragma once

// A cooldown in one word: so many refusals in a row, and nothing passes for a while.
//
//   word   blocked until 56 | refusals in a row 8      0: never seen; the time in units of 256 ticks (2 us)
//
// Pure functions over the word: the caller's compare-exchange makes each of them atomic.
// Crash    killed before the exchange: one refusal less was counted.
// Damage   a time further ahead than any policy reaches has passed.

#include <cstdint>

#include "primitives/token_bucket.hpp"

namespace weir::detail::cooldown {

struct Params {
  std::uint32_t refusals = 1;  ///< in a row that begin it
  std::uint64_t length = 0;    ///< ticks, at most kMaxDepthTicks
};

inline constexpr unsigned kCountBits = 8;
inline constexpr std::uint64_t kCount = (std::uint64_t{1} << kCountBits) - 1;

/// Ticks until it is over; 0: it is not on.
[[nodiscard]] constexpr std::uint64_t wait(std::uint64_t state, std::uint64_t now) noexcept {
  return gcra::debt(state & ~kCount, now);
}

/// The state after one more refusal. While it is on, refusals change nothing: they only read.
[[nodiscard]] constexpr std::uint64_t refused(Params params, std::uint64_t state,
                                              std::uint64_t now) noexcept {
  if (wait(state, now) != 0) return state;
  const std::uint64_t count = (state & kCount) + 1;
  return count < params.refusals ? count : ((now + params.length + kCount) & ~kCount);
}

/// The state after an admission: refusals are in a row no more.
[[nodiscard]] constexpr std::uint64_t admitted(std::uint64_t state) noexcept {
  return (state & kCount) == 0 ? state : 0;
}

/// What forgetting it would lose, in ticks; 0: nothing.
[[nodiscard]] constexpr std::uint64_t debt(std::uint64_t state, std::uint64_t now) noexcept {
  const std::uint64_t left = wait(state, now);
  return left != 0 ? left : (state & kCount) != 0 ? 1 : 0;
}

}  // namespace weir::detail::cooldown

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A cooldown in one word: after N refusals in a row, nothing passes for a while.
//
//   word   0: never seen
//          1 to 255: refusals in a row
//          from 256 on: blocked until then, in ticks
//
// While a row is counted nothing is blocked, and during a cooldown nothing is counted, so one number says
// either. Its time is exact: a cooldown of 5 minutes says 300 seconds, where a time that was rounded up would
// make a caller wait one whole second more.
//
// The functions are pure functions of the word; each change is one compare-exchange, by CooldownWord or of a
// user's entry.
//
// Begins   after N refusals in a row, and not before: an admission cancels every refusal that returned before
//          it began, however many others are counted meanwhile. Refusals that overlap it are ordered before
//          it.
// Ends     at its time: during the cooldown neither a refusal nor an admission changes the word.
// Progress lock-free: a lost compare-exchange means that another refusal or admission was recorded.
// Ordering relaxed throughout: the word is the whole state, and publishes nothing else.
// Crash    killed before the exchange: one refusal was not counted, or one admission did not reset the count.
// Damage   a time further ahead than any policy allows is treated as passed.

#include <algorithm>
#include <cstdint>

#include "base/word.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail::cooldown {

struct Params {
  std::uint32_t refusals = 1;  ///< in a row that begin a cooldown
  std::uint64_t length = 0;    ///< ticks, at most kMaxDepthTicks

  friend constexpr bool operator==(const Params&, const Params&) = default;
};

/// States up to here are counts of refusals. 256 ticks after a segment's creation its creator still fills it.
inline constexpr std::uint64_t kMaxCount = 255;

/// Consecutive refusals; 0: none.
[[nodiscard]] constexpr std::uint64_t in_a_row(std::uint64_t state) noexcept {
  return state <= kMaxCount ? state : 0;
}

/// Ticks until the cooldown is over; 0: there is none.
[[nodiscard]] constexpr std::uint64_t wait(std::uint64_t state, std::uint64_t now) noexcept {
  return state > kMaxCount ? gcra::debt(state, now) : 0;
}

/// The state after one more refusal. During the cooldown refusals change nothing: they only read.
[[nodiscard]] constexpr std::uint64_t refused(Params params, std::uint64_t state,
                                              std::uint64_t now) noexcept {
  if (wait(state, now) != 0) return state;
  const std::uint64_t count = in_a_row(state) + 1;
  return count < params.refusals && count <= kMaxCount ? count : std::max(now + params.length, kMaxCount + 1);
}

/// The state after an admission, which resets the count of consecutive refusals.
[[nodiscard]] constexpr std::uint64_t admitted(std::uint64_t state) noexcept {
  return in_a_row(state) == 0 ? state : 0;
}

/// What would be lost by forgetting the state, in ticks; 0: nothing.
[[nodiscard]] constexpr std::uint64_t debt(std::uint64_t state, std::uint64_t now) noexcept {
  const std::uint64_t left = wait(state, now);
  return left != 0 ? left : in_a_row(state) != 0 ? 1 : 0;
}

}  // namespace weir::detail::cooldown

namespace weir::detail {

/// A cooldown over one shared word.
class CooldownWord {
 public:
  explicit CooldownWord(Word& state) noexcept : state_(state) {}

  /// Ticks until the cooldown is over; 0: there is none.
  [[nodiscard]] std::uint64_t wait(std::uint64_t now) const noexcept { return cooldown::wait(state(), now); }

  /// Counts one refusal; the last of the N refusals begins the cooldown. @return ticks until it is over; 0:
  /// there is none.
  std::uint64_t refuse(cooldown::Params params, std::uint64_t now) noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t next = cooldown::refused(params, seen, now);
      if (next == seen || state_.compare_exchange(seen, next, std::memory_order_relaxed))
        return cooldown::wait(next, now);
    }
  }

  /// Resets the count of consecutive refusals. It does not end a cooldown that has begun.
  void admit() noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t next = cooldown::admitted(seen);
      // If the exchange fails, a refusal got in first: try again, or the refusals before it would still
      // count.
      if (next == seen || state_.compare_exchange(seen, next, std::memory_order_relaxed)) return;
    }
  }

  [[nodiscard]] std::uint64_t state() const noexcept { return state_.load(std::memory_order_relaxed); }

 private:
  Word& state_;
};

}  // namespace weir::detail

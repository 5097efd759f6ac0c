#pragma once

// A cooldown in one word: so many refusals in a row, and nothing passes for a while.
//
//   word   blocked until 56 | refusals in a row 8      0: never seen; the time in units of 256 ticks (2 us)
//
// Pure functions over the word; each change is one compare-exchange, of CooldownWord or of a user's entry.
//
// Begins   after that many refusals in a row, and not before: an admission ends every refusal that returned
//          before it began, however many others are counted meanwhile. Those that overlap it are before it.
// Ends     at its time: while it is on, neither a refusal nor an admission changes the word.
// Progress lock-free: a lost compare-exchange means another refusal or admission was noted.
// Ordering relaxed throughout: the word is the whole state and publishes nothing beside itself.
// Crash    killed before the exchange: one refusal less was counted, or one admission did not end the row.
// Damage   a time further ahead than any policy reaches has passed.

#include <cstdint>

#include "base/word.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail::cooldown {

struct Params {
  std::uint32_t refusals = 1;  ///< in a row that begin it
  std::uint64_t length = 0;    ///< ticks, at most kMaxDepthTicks

  friend constexpr bool operator==(const Params&, const Params&) = default;
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

namespace weir::detail {

/// A cooldown over one shared word.
class CooldownWord {
 public:
  explicit CooldownWord(Word& state) noexcept : state_(state) {}

  /// Ticks until it is over; 0: it is not on.
  [[nodiscard]] std::uint64_t wait(std::uint64_t now) const noexcept { return cooldown::wait(state(), now); }

  /// Counts one refusal; the last one that was wanted begins it. @return ticks until it is over; 0: it is not
  /// on.
  std::uint64_t refuse(cooldown::Params params, std::uint64_t now) noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t next = cooldown::refused(params, seen, now);
      if (next == seen || state_.compare_exchange(seen, next, std::memory_order_relaxed))
        return cooldown::wait(next, now);
    }
  }

  /// Ends the row of refusals. One that is on stays on.
  void admit() noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t next = cooldown::admitted(seen);
      // Lost to a refusal: once more, or the ones before it would still count.
      if (next == seen || state_.compare_exchange(seen, next, std::memory_order_relaxed)) return;
    }
  }

  [[nodiscard]] std::uint64_t state() const noexcept { return state_.load(std::memory_order_relaxed); }

 private:
  Word& state_;
};

}  // namespace weir::detail

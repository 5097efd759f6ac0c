// SPDX-License-Identifier: Apache-2.0
#pragma once

// A count that restarts at each multiple of a length: quotas by the hour or the day, as a wall clock divides
// them.
//
//   word   epoch | count      0: never seen; the epoch has at least epoch_bits(length) bits
//
// For windows of 34 ms or longer the count has 32 bits. The shorter the window, the fewer bits it has: 26 for
// 1 ms.
//
// The caller says where the windows begin (`origin`), so UTC or any other alignment is the caller's choice.
//
// Bound    No aligned window holds more than `limit` admissions. A span that crosses a boundary may hold up
//          to twice the limit.
// Progress lock-free: a lost compare-exchange means that another request was decided. A refusal only loads.
// Ordering relaxed: the word is the whole state, and publishes nothing else.
// Time     A late `now` counts in the newest window that was seen, however late it is: it may refuse, or
//          expire late, and never restarts an old window.
// Damage   An epoch further ahead than any policy allows is treated as a word that was never used.
// Length   Epochs are numbered differently for another length or origin: then call reset().
// Crash    One exchange decides. Killed before it: nothing is counted. After it: the request is counted.

#include <algorithm>
#include <cstdint>

#include "base/word.hpp"
#include "primitives/window.hpp"

namespace weir::detail {

struct FixedWindowParams {
  std::uint64_t length = 0;  ///< ticks, at least kMinWindowTicks
  std::uint64_t origin = 0;  ///< ticks, below `length`: windows begin there and at every `length` after it
  std::uint32_t limit = 0;
};

/// The algorithm, over a state that the caller keeps (in a word of its own or in a user's entry).
namespace fixed_window {

inline constexpr unsigned kMaxCountBits = 32;

[[nodiscard]] constexpr unsigned count_bits(std::uint64_t length) noexcept {
  return std::min(kMaxCountBits, 64 - epoch_bits(length));
}
/// Where the count of a window of `length` saturates.
[[nodiscard]] constexpr std::uint32_t max_count(std::uint64_t length) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{1} << count_bits(length)) - 1);
}
/// The epoch of a state.
[[nodiscard]] constexpr std::uint64_t epoch_of(std::uint64_t length, std::uint64_t state) noexcept {
  return state >> count_bits(length);
}

struct Count {
  std::uint32_t count = 0;
  std::uint64_t expires_in = 0;  ///< ticks until the window ends
};

/// The count of a state and the number of its window, at some moment.
struct Seen {
  std::uint64_t epoch = 0;
  Count now;
};

[[nodiscard]] constexpr std::uint64_t pack(std::uint64_t length, std::uint64_t epoch,
                                           std::uint32_t count) noexcept {
  return epoch << count_bits(length) | count;
}

/// The number of the window that `now` lies in; the window that the origin cuts short is number 0.
[[nodiscard]] constexpr std::uint64_t epoch_at(FixedWindowParams params, std::uint64_t now) noexcept {
  return now < params.origin ? 0 : (now - params.origin) / params.length + 1;
}

[[nodiscard]] constexpr Seen look(FixedWindowParams params, std::uint64_t state, std::uint64_t now) noexcept {
  const std::uint64_t epoch = epoch_at(params, now);
  const std::uint64_t ends_in = params.origin + epoch * params.length - now;
  const std::uint64_t counted_in = epoch_of(params.length, state);
  if (state == 0 || counted_in < epoch || beyond_any_clock(counted_in - epoch, params.length))
    return {epoch, {0, ends_in}};
  const auto count = static_cast<std::uint32_t>(state & max_count(params.length));
  return {counted_in, {count, ends_in + (counted_in - epoch) * params.length}};
}

/// The count of the window that `now` lies in, and when it ends.
[[nodiscard]] constexpr Count read(FixedWindowParams params, std::uint64_t state,
                                   std::uint64_t now) noexcept {
  return look(params, state, now).now;
}

/// Ticks until a request of `cost` conforms; 0: it does now; kNever: the cost is above the limit.
[[nodiscard]] constexpr std::uint64_t wait(FixedWindowParams params, std::uint64_t state, std::uint64_t now,
                                           std::uint32_t cost) noexcept {
  const std::uint32_t limit = std::min(params.limit, max_count(params.length));
  if (cost > limit) return kNever;
  const Count seen = read(params, state, now);
  return seen.count > limit - cost ? seen.expires_in : 0;
}

/// The state after a request of `cost`, conforming or not. The count saturates.
[[nodiscard]] constexpr std::uint64_t charged(FixedWindowParams params, std::uint64_t state,
                                              std::uint64_t now, std::uint32_t cost) noexcept {
  const Seen seen = look(params, state, now);
  return pack(params.length, seen.epoch,
              seen.now.count + std::min(cost, max_count(params.length) - seen.now.count));
}

/// The state after giving back a `cost` that was charged at `charged_at` (the `now` of that charge). Nothing
/// is given back if that window is over, or if a late clock charged the window after it.
[[nodiscard]] constexpr std::uint64_t refunded(FixedWindowParams params, std::uint64_t state,
                                               std::uint64_t now, std::uint32_t cost,
                                               std::uint64_t charged_at) noexcept {
  const Seen seen = look(params, state, now);
  const bool same = seen.epoch == epoch_at(params, charged_at);
  return same ? pack(params.length, seen.epoch, seen.now.count - std::min(cost, seen.now.count)) : state;
}

/// The highest cost that conforms now.
[[nodiscard]] constexpr std::uint32_t available(FixedWindowParams params, std::uint64_t state,
                                                std::uint64_t now) noexcept {
  return params.limit - std::min(params.limit, read(params, state, now).count);
}

/// Ticks until the state equals one that was never used; 0: it does now.
[[nodiscard]] constexpr std::uint64_t debt(FixedWindowParams params, std::uint64_t state,
                                           std::uint64_t now) noexcept {
  const Count seen = read(params, state, now);
  return seen.count != 0 ? seen.expires_in : 0;
}

/// The state of a window that was at rest at `time`: requests with an earlier clock reading count in the
/// window of `time`, not in an earlier one.
[[nodiscard]] constexpr std::uint64_t at_rest(FixedWindowParams params, std::uint64_t time) noexcept {
  return pack(params.length, epoch_at(params, time), 0);
}

}  // namespace fixed_window

/// The window over a shared word.
///
/// @tparam State  a Word; const for a process that only looks.
template <class State>
class BasicFixedWindow {
 public:
  explicit BasicFixedWindow(State& state) noexcept : state_(state) {}

  [[nodiscard]] std::uint64_t wait(FixedWindowParams params, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    return fixed_window::wait(params, state(), now, cost);
  }

  /// Counts `cost` admissions if they conform. @return 0 if they were counted; otherwise as wait().
  std::uint64_t admit(FixedWindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t wait = fixed_window::wait(params, seen, now, cost);
      if (wait != 0) return wait;
      const std::uint64_t next = fixed_window::charged(params, seen, now, cost);
      if (state_.compare_exchange(seen, next, std::memory_order_relaxed)) return 0;
    }
  }

  /// Gives back what was counted at `charged_at`, if its window is not over.
  void refund(FixedWindowParams params, std::uint64_t now, std::uint32_t cost,
              std::uint64_t charged_at) noexcept {
    change([&](std::uint64_t seen) { return fixed_window::refunded(params, seen, now, cost, charged_at); });
  }

  /// Counts requests that have already happened, even above the limit.
  void charge(FixedWindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    (void)add(params, now, cost);
  }

  /// Counts `n`, even above the limit; the count saturates. @return the new count, and when it restarts.
  fixed_window::Count add(FixedWindowParams params, std::uint64_t now, std::uint32_t n) noexcept {
    const std::uint64_t next =
        change([&](std::uint64_t seen) { return fixed_window::charged(params, seen, now, n); });
    return fixed_window::read(params, next, now);
  }

  [[nodiscard]] fixed_window::Count read(FixedWindowParams params, std::uint64_t now) const noexcept {
    return fixed_window::read(params, state(), now);
  }

  /// Shows what is counted to visit(end of the window, now, count).
  template <class Visit>
  void for_each_count(FixedWindowParams params, std::uint64_t now, Visit&& visit) const {
    const fixed_window::Count seen = read(params, now);
    visit(now + seen.expires_in, now, seen.count);
  }

  /// The highest cost that conforms now.
  [[nodiscard]] std::uint32_t available(FixedWindowParams params, std::uint64_t now) const noexcept {
    return fixed_window::available(params, state(), now);
  }

  /// Ticks until nothing is counted; 0: the window is at rest.
  [[nodiscard]] std::uint64_t full_in(FixedWindowParams params, std::uint64_t now) const noexcept {
    return fixed_window::debt(params, state(), now);
  }

  void reset() noexcept {
    change([](std::uint64_t /*seen*/) { return std::uint64_t{0}; });
  }

  [[nodiscard]] std::uint64_t state() const noexcept { return state_.load(std::memory_order_relaxed); }

 private:
  /// @return the new state.
  template <class Next>
  std::uint64_t change(Next&& next_of) noexcept {
    std::uint64_t seen = state();
    for (;;) {
      const std::uint64_t next = next_of(seen);
      if (next == seen || state_.compare_exchange(seen, next, std::memory_order_relaxed)) return next;
    }
  }

  State& state_;
};
using FixedWindow = BasicFixedWindow<Word>;

}  // namespace weir::detail

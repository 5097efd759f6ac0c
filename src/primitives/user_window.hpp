// SPDX-License-Identifier: Apache-2.0
#pragma once

// A sliding window in one word: the counts of two aligned windows, the earlier one weighted by how much of it
// the sliding window still covers.
//
//   state  epoch | previous | current      0: never seen
//     epoch     the multiple of `length` in which `current` counts, in at least epoch_bits(length) bits
//     previous  admissions in the epoch before it, in as many bits as `current`
//
// For windows of 8.6 s or longer each count has 20 bits. The shorter the window, the fewer bits it has: 18
// for a second, 16 for 100 ms, 13 for 1 ms. So a limit can be 8 million a second, or higher.
//
// When x ticks of the epoch have passed, previous * (length - x) / length + current counts as the admissions
// of the last `length` ticks, as if the earlier ones were spread evenly over their epoch. The comparison uses
// 128-bit integers, so retry_after is exact for that count.
//
// Bound    No aligned window holds more than `limit` admissions, and no window at any position more than 2 *
//          limit - 1 (so a limit of 1 is exact): the worst case is that the previous epoch was admitted as a
//          burst at its end, and counts as if it were spread. If requests are evenly spaced, no window holds
//          more than limit + 1.
// Time     A late `now` uses the state's epoch, however late it is: it may refuse, and never gives back.
// Damage   An epoch further ahead than any policy allows is treated as a state that was never used.
// Length   Epochs are numbered differently for another length: a state of the old length must be forgotten.
// Source   the sliding window counters of Cloudflare (2017) and of lua-resty-limit-traffic.

#include <algorithm>
#include <cstdint>

#include "primitives/window.hpp"

namespace weir::detail::user_window {

__extension__ using Wide = unsigned __int128;

inline constexpr unsigned kMaxCountBits = 20;

/// The number of bits of each of the two counts. @param length  at least kMinWindowTicks.
[[nodiscard]] constexpr unsigned count_bits(std::uint64_t length) noexcept {
  return std::min(kMaxCountBits, (64 - epoch_bits(length)) / 2);
}
/// The highest limit of a window of `length`.
[[nodiscard]] constexpr std::uint32_t max_limit(std::uint64_t length) noexcept {
  return (std::uint32_t{1} << count_bits(length)) - 1;
}
/// The epoch of a state.
[[nodiscard]] constexpr std::uint64_t epoch_of(std::uint64_t length, std::uint64_t state) noexcept {
  return state >> (2 * count_bits(length));
}

/// The counts of a state at some moment.
struct Counts {
  std::uint64_t start = 0;    ///< of the epoch
  std::uint64_t elapsed = 0;  ///< ticks of it that have passed; 0 for a late clock
  std::uint32_t previous = 0;
  std::uint32_t current = 0;
};

[[nodiscard]] constexpr std::uint64_t pack(std::uint64_t length, std::uint64_t epoch, std::uint64_t previous,
                                           std::uint64_t current) noexcept {
  const unsigned bits = count_bits(length);
  return epoch << (2 * bits) | previous << bits | current;
}

[[nodiscard]] constexpr Counts counts(WindowParams params, std::uint64_t state, std::uint64_t now) noexcept {
  const std::uint64_t epoch = now / params.length;
  const std::uint64_t counted_in = epoch_of(params.length, state);
  const auto previous =
      static_cast<std::uint32_t>(state >> count_bits(params.length)) & max_limit(params.length);
  const auto current = static_cast<std::uint32_t>(state) & max_limit(params.length);
  const Counts fresh{.start = epoch * params.length, .elapsed = now - epoch * params.length};

  if (state == 0 || counted_in + 1 < epoch) return fresh;
  if (counted_in + 1 == epoch) return {fresh.start, fresh.elapsed, current, 0};
  if (counted_in == epoch) return {fresh.start, fresh.elapsed, previous, current};
  if (beyond_any_clock(counted_in - epoch, params.length)) return fresh;
  return {counted_in * params.length, 0, previous, current};
}

/// Ticks of an epoch until `previous` weighs no more than `room`.
[[nodiscard]] constexpr std::uint64_t fades_at(std::uint64_t length, std::uint32_t previous,
                                               std::uint32_t room) noexcept {
  if (previous <= room) return 0;
  return length - static_cast<std::uint64_t>(Wide{room} * length / previous);
}

/// Ticks until a request of `cost` (at least 1) conforms; 0: it does now; kNever: the cost is above the
/// limit.
[[nodiscard]] constexpr std::uint64_t wait(WindowParams params, std::uint64_t state, std::uint64_t now,
                                           std::uint32_t cost) noexcept {
  const std::uint32_t limit = std::min(params.limit, max_limit(params.length));
  if (cost > limit) return kNever;
  const Counts seen = counts(params, state, now);
  const std::uint32_t room = limit - cost;
  // If `current` alone leaves no room, it must become `previous` first.
  const std::uint64_t passes_at =
      seen.current <= room ? seen.start + fades_at(params.length, seen.previous, room - seen.current)
                           : seen.start + params.length + fades_at(params.length, seen.current, room);
  return passes_at > seen.start + seen.elapsed ? passes_at - now : 0;
}

/// The state after a request of `cost`, conforming or not. The count saturates.
[[nodiscard]] constexpr std::uint64_t charged(WindowParams params, std::uint64_t state, std::uint64_t now,
                                              std::uint32_t cost) noexcept {
  const Counts seen = counts(params, state, now);
  return pack(params.length, seen.start / params.length, seen.previous,
              std::min<std::uint64_t>(std::uint64_t{seen.current} + cost, max_limit(params.length)));
}

/// The state after giving back a `cost` that was charged at `charged_at` (the `now` of that charge). Nothing
/// is given back once the charge is out of both epochs. After a late clock it may be taken from the epoch
/// before the one that was charged, which refuses for longer.
[[nodiscard]] constexpr std::uint64_t refunded(WindowParams params, std::uint64_t state, std::uint64_t now,
                                               std::uint32_t cost, std::uint64_t charged_at) noexcept {
  Counts seen = counts(params, state, now);
  const std::uint64_t epoch = seen.start / params.length;
  const std::uint64_t back = epoch - charged_at / params.length;
  if (back == 0) seen.current -= std::min(seen.current, cost);
  if (back == 1) seen.previous -= std::min(seen.previous, cost);
  return pack(params.length, epoch, seen.previous, seen.current);
}

/// The highest cost that conforms now.
[[nodiscard]] constexpr std::uint32_t available(WindowParams params, std::uint64_t state,
                                                std::uint64_t now) noexcept {
  const Counts seen = counts(params, state, now);
  const Wide weight = Wide{seen.previous} * (params.length - seen.elapsed);
  const Wide used = seen.current + (weight + params.length - 1) / params.length;
  const std::uint32_t limit = std::min(params.limit, max_limit(params.length));
  return used < limit ? limit - static_cast<std::uint32_t>(used) : 0;
}

/// Ticks until the state equals one that was never used; 0: it does now.
[[nodiscard]] constexpr std::uint64_t debt(WindowParams params, std::uint64_t state,
                                           std::uint64_t now) noexcept {
  const Counts seen = counts(params, state, now);
  const std::uint64_t epochs = seen.current != 0 ? 2 : seen.previous != 0 ? 1 : 0;
  return epochs != 0 ? seen.start + epochs * params.length - now : 0;
}

/// The state of a window that was at rest at `time`: requests with an earlier clock reading count in the
/// epoch of `time`, not in an earlier one.
[[nodiscard]] constexpr std::uint64_t at_rest(WindowParams params, std::uint64_t time) noexcept {
  return pack(params.length, time / params.length, 0, 0);
}

}  // namespace weir::detail::user_window

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The state word of a circuit breaker, and the arithmetic of its times. breaker.hpp uses it.
//
//   kind 3 | trips 5 | generation 12 | rest 44
//
//     kind        the top bit means that it may refuse
//     trips       how many in a row, without closing in between; stays at 31
//     generation  counts transitions
//     rest        open: when the recovery ends. Half-open: the number of good probes so far
//
// Times are in units of 2^20 ticks (8.2 us). The end of a recovery is rounded down, so that 30 seconds are never
// said to take 31; the deadline of a probe is rounded up, so that a report in time counts. Zeroed memory is a
// closed breaker that was never used.

#include <algorithm>
#include <cstdint>

namespace weir::detail {

inline constexpr std::uint32_t kMaxProbes = 16;

/// The longest recovery or probe timeout that a policy may ask for: 13 days.
inline constexpr std::uint64_t kMaxBreakerTicks = std::uint64_t{1} << 57;

struct BreakerParams {
  std::uint32_t consecutive = 0;    ///< failures in a row that trip; 0: off
  std::uint32_t failure_rate = 0;   ///< in 1/10,000 of the calls in the window; 0: off
  std::uint32_t slow_rate = 0;      ///< the same for slow calls; if set, a slow probe is a bad one
  std::uint32_t minimum_calls = 1;  ///< in the window, before a rate is judged
  std::uint32_t window_calls = 0;   ///< size of a count window, if `window` is 0; at most 10 million
  std::uint32_t factor = 100;   ///< by which recovery grows with each trip in a row, in 1/100; at most 10,000
  std::uint32_t jitter = 0;     ///< share of the recovery that may be added to it, in 1/10,000
  std::uint32_t probes = 1;     ///< out at once, for the whole host; at most kMaxProbes
  std::uint32_t successes = 1;  ///< good probes that close the breaker
  std::uint64_t window = 0;     ///< ticks of a time window
  std::uint64_t slow_call = 0;  ///< a call that took more ticks is slow
  std::uint64_t recovery = 0;   ///< ticks for which it stays open
  std::uint64_t max_recovery = 0;   ///< its maximum, without jitter; less than recovery: it does not grow
  std::uint64_t probe_timeout = 0;  ///< ticks after which a probe that has not reported is lost
  std::uint64_t seed = 0;           ///< of the jitter: different for each breaker and host
};

/// From `open` on a kind may refuse, which is the top bit of the state word.
enum class BreakerKind : std::uint8_t {
  closed = 0,
  forced_closed = 1,  ///< by an operator: it counts, but never trips
  metrics_only = 2,   ///< by policy: it counts, but never trips
  disabled = 3,       ///< it neither counts nor trips
  open = 4,
  half_open = 5,
  forced_open = 6,
};

enum class BreakerOutcome : std::uint8_t { success = 0, failure = 1, ignored = 2 };

/// The unpacked state word.
struct BreakerPhase {
  BreakerKind kind = BreakerKind::closed;
  std::uint64_t trips = 0;
  std::uint64_t generation = 0;
  std::uint64_t rest = 0;

  static constexpr unsigned kRestBits = 44;
  static constexpr unsigned kGenerationBits = 12;
  static constexpr std::uint64_t kRestMask = (std::uint64_t{1} << kRestBits) - 1;
  static constexpr std::uint64_t kGenerationMask = (std::uint64_t{1} << kGenerationBits) - 1;
  static constexpr std::uint64_t kMaxTrips = 31;

  [[nodiscard]] static constexpr bool guarded(std::uint64_t word) noexcept { return word >> 63 != 0; }
  [[nodiscard]] static constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
    return (word >> kRestBits) & kGenerationMask;
  }
  [[nodiscard]] static constexpr BreakerPhase unpack(std::uint64_t word) noexcept {
    const auto kind = static_cast<BreakerKind>(word >> 61);
    return {kind <= BreakerKind::forced_open ? kind : BreakerKind::closed,
            (word >> (kRestBits + kGenerationBits)) & kMaxTrips, generation_of(word), word & kRestMask};
  }
  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return static_cast<std::uint64_t>(kind) << 61 |
           std::min(trips, kMaxTrips) << (kRestBits + kGenerationBits) |
           (generation & kGenerationMask) << kRestBits | (rest & kRestMask);
  }

  [[nodiscard]] constexpr bool passes() const noexcept { return kind < BreakerKind::open; }
  /// Whether outcomes of generation `of` count towards the thresholds.
  [[nodiscard]] constexpr bool counts(std::uint64_t of) const noexcept {
    return kind < BreakerKind::disabled && generation == of;
  }
  /// The phase after this one.
  [[nodiscard]] constexpr BreakerPhase then(BreakerKind next, std::uint64_t next_trips,
                                            std::uint64_t next_rest) const noexcept {
    return {next, std::min(next_trips, kMaxTrips), (generation + 1) & kGenerationMask, next_rest};
  }
};

namespace breaker_time {

inline constexpr unsigned kUnitShift = 20;

/// The time `ticks` after `now`, as far as units can tell it.
[[nodiscard]] constexpr std::uint64_t after(std::uint64_t now, std::uint64_t ticks) noexcept {
  const std::uint64_t last = BreakerPhase::kRestMask << kUnitShift;
  return now > last - std::min(ticks, last) ? last : now + ticks;
}

/// The unit in which the time `ticks` after `now` lies; never an earlier one.
[[nodiscard]] constexpr std::uint64_t deadline(std::uint64_t now, std::uint64_t ticks) noexcept {
  return (after(now, ticks) + (std::uint64_t{1} << kUnitShift) - 1) >> kUnitShift;
}

/// The last unit that begins at the latest `ticks` after `now`.
[[nodiscard]] constexpr std::uint64_t end_of_recovery(std::uint64_t now, std::uint64_t ticks) noexcept {
  return after(now, ticks) >> kUnitShift;
}

/// Ticks until the deadline; 0: it has passed. A deadline four times as far ahead as any policy allows is
/// damage, not a late clock.
[[nodiscard]] constexpr std::uint64_t left(std::uint64_t deadline, std::uint64_t now) noexcept {
  const std::uint64_t ahead = (deadline << kUnitShift) - now;  // wraps when it has passed
  return ahead <= 4 * kMaxBreakerTicks ? ahead : 0;
}

/// How long the n-th trip in a row opens for. It is the same for the same seed, trip and generation.
[[nodiscard]] constexpr std::uint64_t recovery(const BreakerParams& params, std::uint64_t trips,
                                               std::uint64_t generation) noexcept {
  const std::uint64_t first = std::min(params.recovery, kMaxBreakerTicks);
  const std::uint64_t most = std::min(std::max(params.max_recovery, first), kMaxBreakerTicks);
  const std::uint64_t factor = std::clamp(params.factor, 100U, 10'000U);
  std::uint64_t ticks = first;
  for (std::uint64_t trip = 1; trip < trips && ticks < most; ++trip) {
    ticks = std::min(most, ticks / 100 * factor + ticks % 100 * factor / 100);
  }
  const std::uint64_t spread = ticks / 10'000 * std::min(params.jitter, 10'000U);
  // The finalizer of SplitMix64 maps neighbouring seeds and generations to values far apart.
  std::uint64_t mixed = params.seed + 0x9e37'79b9'7f4a'7c15 * (generation + 1);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
  return ticks + (mixed ^ (mixed >> 31)) % (spread + 1);
}

}  // namespace breaker_time

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A histogram of response times: 512 counters that cover 1.024 us to 1,100 s with an error of at most 2.95 %.
//
// An octave of ticks, from 2^n to 2^(n+1), is cut into 17 steps of equal length (log-linear, as in HdrHistogram). So the
// index of a time is found by a shift and a multiplication, and every power of two is a bound: a histogram whose bounds
// are octaves, as an exporter wants it, is exact. The first counter has what is shorter, the last what is longer.
//
// A time is shown as the harmonic mean of its step's bounds, which is off by the same part of the time at both ends: by
// at most 1/35 + 1/34 of it in the first step of an octave.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace weir::detail::response_times {

inline constexpr std::uint32_t kFirstOctave = 17;  ///< of ticks: 2^17 / 128 ns = 1.024 us
inline constexpr std::uint32_t kOctaves = 30;
inline constexpr std::uint32_t kSteps = 17;
inline constexpr std::uint32_t kCounters = 2 + kOctaves * kSteps;
static_assert(kCounters == 512, "exactly a page");

/// The counter of a time in ticks.
[[nodiscard]] constexpr std::uint32_t index(std::uint64_t ticks) noexcept {
  if (ticks >> kFirstOctave == 0) return 0;
  const auto octave = static_cast<std::uint32_t>(std::bit_width(ticks)) - 1;
  if (octave >= kFirstOctave + kOctaves) return kCounters - 1;
  // What stands behind the leading bit, in parts of 2^17.
  const std::uint64_t part = (ticks >> (octave - kFirstOctave)) & ((std::uint64_t{1} << kFirstOctave) - 1);
  return 1 + (octave - kFirstOctave) * kSteps + static_cast<std::uint32_t>(part * kSteps >> kFirstOctave);
}

/// The shortest time of a counter, in ticks.
[[nodiscard]] constexpr std::uint64_t begin(std::uint32_t index) noexcept {
  if (index == 0) return 0;
  const std::uint64_t step = std::min(index, kCounters - 1) - 1;
  const std::uint64_t octave = std::uint64_t{1} << (kFirstOctave + step / kSteps);
  // Rounded up: the first tick whose part of 2^17, cut off, reaches the step.
  const std::uint64_t part = ((step % kSteps << kFirstOctave) + kSteps - 1) / kSteps;
  return octave + (part << (step / kSteps));
}

/// The time that a counter is shown as, in ticks.
[[nodiscard]] constexpr std::uint64_t shown(std::uint32_t index) noexcept {
  if (index == 0) return begin(1) / 2;
  if (index >= kCounters - 1) return begin(kCounters - 1);
  const auto a = static_cast<double>(begin(index));
  const auto b = static_cast<double>(begin(index + 1));
  return static_cast<std::uint64_t>(2 * a * b / (a + b));
}

/// The time within which a part of all calls ended, in ticks; 0 if there were none.
/// @param counts  kCounters of them.
[[nodiscard]] constexpr std::uint64_t quantile(std::span<const std::uint64_t> counts, double part) noexcept {
  std::uint64_t all = 0;
  for (const std::uint64_t count : counts) all += count;
  if (all == 0) return 0;
  const double wanted = part * static_cast<double>(all);
  std::uint64_t seen = 0;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    seen += counts[i];
    last = i;
    if (static_cast<double>(seen) >= wanted) break;
  }
  return shown(last);
}

}  // namespace weir::detail::response_times

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A rate in one word.
//
//   burst 25     exponent 4 | mantissa 21
//   interval 39  exponent 5 | mantissa 34             a token every mantissa * 2^exponent ticks
//             or 31, 5 | count 13 | zeros 4 | digits 17   `count` tokens every digits * 10^zeros ns
//
// Most intervals are a whole number of ticks. The others are kept as count and period, where those fit, because
// a rounded interval would let every token come a little later than the one before. No interval needs an
// exponent of 31.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>

#include "weir/policy.hpp"

#include "base/ticks.hpp"
#include "primitives/split_ticks.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

/// Ticks that earn one token, rounded up.
[[nodiscard]] constexpr std::uint64_t emission_interval(const Rate& rate) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide period = static_cast<Wide>(static_cast<std::uint64_t>(rate.period.count())) << kTickShift;
  const Wide interval = (period + rate.count - 1) / rate.count;
  return interval > kMaxDepthTicks ? kMaxDepthTicks + 1 : static_cast<std::uint64_t>(interval);
}

namespace packed {

/// A number as {exponent | mantissa}: exact while the mantissa has the bits for it.
template <unsigned kExponentBits, unsigned kMantissaBits>
struct Float {
  static constexpr std::uint64_t kMantissa = (std::uint64_t{1} << kMantissaBits) - 1;

  [[nodiscard]] static constexpr std::uint64_t down(std::uint64_t value) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    const unsigned exponent = width > kMantissaBits ? width - kMantissaBits : 0;
    return std::uint64_t{exponent} << kMantissaBits | value >> exponent;
  }
  [[nodiscard]] static constexpr std::uint64_t up(std::uint64_t value) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    const std::uint64_t step = std::uint64_t{1} << (width > kMantissaBits ? width - kMantissaBits : 0);
    return down(value + step - 1);
  }
  [[nodiscard]] static constexpr std::uint64_t to_number(std::uint64_t bits) noexcept {
    return (bits & kMantissa) << (bits >> kMantissaBits & ((1U << kExponentBits) - 1));
  }
};
using Interval =
    Float<5, 34>;            ///< up to 2^61 ticks; rounded by less than 6e-11, up: a rate is never exceeded
using Burst = Float<4, 21>;  ///< up to 2^32; above two million rounded by less than 5e-7, down

inline constexpr unsigned kIntervalBits = 39;

/// The other form of the interval. A rate of `count` tokens splits a quantum of time into as many parts, so
/// that a period of n quanta makes an interval of n parts.
struct CountAndPeriod {
  static constexpr std::uint64_t kTag = std::uint64_t{31} << 34;
  static constexpr unsigned kCountShift = 21;
  static constexpr unsigned kZerosShift = 17;
  static constexpr std::uint64_t kMaxZeros = 15;
  static constexpr std::uint64_t kMaxDigits = (std::uint64_t{1} << kZerosShift) - 1;

  /// @return the bits; 0: the interval is a whole number of ticks, or count or period do not fit.
  [[nodiscard]] static constexpr std::uint64_t pack(const Rate& rate) noexcept {
    auto period = static_cast<std::uint64_t>(rate.period.count());
    const std::uint64_t common = rate.count > SplitTicks::kMaxParts ? std::gcd(rate.count, period) : 1;
    const std::uint64_t count = rate.count / common;
    period /= common;
    if (count > SplitTicks::kMaxParts || period > std::numeric_limits<std::uint64_t>::max() >> kTickShift)
      return 0;
    const std::uint64_t ticks = ticks_from_ns(period);
    const bool in_whole_quanta = SplitTicks(static_cast<std::uint32_t>(count)).down(ticks) == ticks;
    if (ticks % count == 0 || !in_whole_quanta) return 0;
    std::uint64_t zeros = 0;
    for (; period % 10 == 0 && zeros < kMaxZeros; ++zeros) period /= 10;
    return period > kMaxDigits ? 0 : kTag | count << kCountShift | zeros << kZerosShift | period;
  }

  [[nodiscard]] static constexpr bool is_in(std::uint64_t bits) noexcept { return (bits & kTag) == kTag; }

  [[nodiscard]] static constexpr TokenBucketParams unpack(std::uint64_t bits, std::uint32_t burst) noexcept {
    const std::uint32_t count = std::max<std::uint32_t>(bits >> kCountShift & SplitTicks::kMaxParts, 1);
    std::uint64_t period = bits & kMaxDigits;
    for (std::uint64_t zeros = bits >> kZerosShift & kMaxZeros; zeros > 0; --zeros) period *= 10;
    const SplitTicks ticks(count);
    return {ticks.from_parts(ticks_from_ns(period) >> ticks.bits()), burst, count};
  }
};

/// Exact where the interval is a whole number of ticks, or where the rate counts at most 8,191 tokens, or that
/// many once it is reduced, in a period of at most five digits and zeros. Otherwise each token comes late by up
/// to one tick, and by 6e-11 of intervals above 134 ms.
[[nodiscard]] constexpr std::uint64_t rate(const Rate& rate) noexcept {
  const std::uint64_t split = CountAndPeriod::pack(rate);
  const std::uint64_t interval = split != 0 ? split : Interval::up(emission_interval(rate));
  return Burst::down(rate.burst) << kIntervalBits | interval;
}

[[nodiscard]] constexpr TokenBucketParams to_token_bucket(std::uint64_t word) noexcept {
  const std::uint64_t interval = word & ((std::uint64_t{1} << kIntervalBits) - 1);
  const auto burst = static_cast<std::uint32_t>(Burst::to_number(word >> kIntervalBits));
  if (CountAndPeriod::is_in(interval)) [[unlikely]]
    return CountAndPeriod::unpack(interval, burst);
  return {Interval::to_number(interval), burst};
}

/// The nearest bursts that a word can hold: the same one twice, if it is one of them.
struct NearestBursts {
  std::uint64_t below;
  std::uint64_t above;
};
[[nodiscard]] constexpr NearestBursts nearest_bursts(std::uint32_t burst) noexcept {
  return {Burst::to_number(Burst::down(burst)), Burst::to_number(Burst::up(burst))};
}

}  // namespace packed
}  // namespace weir::detail

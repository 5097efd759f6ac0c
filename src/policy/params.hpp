// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parameters of a limit in one word, so that a live change is one store and nobody ever reads a mixture.
//
//   rate      burst 25 | interval 39     each {exponent | mantissa}; a token every `interval` ticks
//   window    limit 26 | kind 3 | length 35, in ms
//   permits   limit
//   cooldown  refusals 8 | length 40, in ms
// 0: no such limit. Any word unpacks to something: what a damaged one says is nonsense, but harmless.

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <limits>

#include "weir/policy.hpp"

#include "base/ticks.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

inline constexpr std::uint64_t kTicksPerMs = ticks_from_ns(1'000'000);
/// A user's permits fill at most sixteen entries: the part of an entry has four bits.
inline constexpr std::uint32_t kMaxUserPermits = 16 * owner_set::kPermitsPerSet;
inline constexpr std::uint32_t kMaxWindowLimit = (std::uint32_t{1} << 26) - 1;
inline constexpr std::uint64_t kMaxWindowMs = std::uint64_t{366} * 24 * 3600 * 1000;

/// Ticks that earn one token. Rounded up: a rate is never exceeded, and missed by less than one tick a token.
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

inline constexpr unsigned kBurstShift = 39;

[[nodiscard]] constexpr std::uint64_t rate(std::uint64_t interval, std::uint32_t burst) noexcept {
  return Burst::down(burst) << kBurstShift | Interval::up(interval);
}

/// The nearest bursts that a word can hold: the same one twice, if it is one of them.
struct NearestBursts {
  std::uint64_t below;
  std::uint64_t above;
};
[[nodiscard]] constexpr NearestBursts nearest_bursts(std::uint32_t burst) noexcept {
  return {Burst::to_number(Burst::down(burst)), Burst::to_number(Burst::up(burst))};
}

[[nodiscard]] constexpr TokenBucketParams to_token_bucket(std::uint64_t word) noexcept {
  const std::uint64_t interval = Interval::to_number(word & ((std::uint64_t{1} << kBurstShift) - 1));
  const auto burst = static_cast<std::uint32_t>(Burst::to_number(word >> kBurstShift));
  return {interval, burst};
}

struct WindowParams {
  std::uint32_t limit = 0;
  WindowKind kind = WindowKind::log;
  std::uint64_t length_ms = 0;

  [[nodiscard]] constexpr std::uint64_t length() const noexcept { return length_ms * kTicksPerMs; }
};

[[nodiscard]] constexpr std::uint64_t window(WindowParams params) noexcept {
  return std::uint64_t{params.limit} << 38 | static_cast<std::uint64_t>(params.kind) << 35 | params.length_ms;
}

[[nodiscard]] constexpr WindowParams to_window(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 38), static_cast<WindowKind>(word >> 35 & 7),
          std::clamp<std::uint64_t>(word & ((std::uint64_t{1} << 35) - 1), 1, kMaxWindowMs)};
}

struct CooldownParams {
  std::uint32_t refusals = 1;
  std::uint64_t length_ms = 0;

  [[nodiscard]] constexpr std::uint64_t length() const noexcept { return length_ms * kTicksPerMs; }
};

[[nodiscard]] constexpr std::uint64_t cooldown(CooldownParams params) noexcept {
  return std::uint64_t{params.refusals} << 40 | params.length_ms;
}

[[nodiscard]] constexpr CooldownParams to_cooldown(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 40 & 0xff),
          std::min<std::uint64_t>(word & ((std::uint64_t{1} << 40) - 1), kMaxWindowMs)};
}

}  // namespace packed

[[nodiscard]] constexpr std::uint64_t whole_ms(std::chrono::nanoseconds length) noexcept {
  return static_cast<std::uint64_t>((length.count() + 999'999) / 1'000'000);
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The breaker of an operation: its words in the segment, with its parameters beside them.

#include <algorithm>
#include <cstdint>

#include "weir/policy.hpp"

#include "primitives/breaker.hpp"
#include "primitives/versioned.hpp"

namespace weir::detail {

struct alignas(kCacheLine) BreakerRecord {
  CircuitBreaker breaker;
  Versioned<BreakerParams> params;

  /// Whether the breaker counts nothing but failures in a row. A success then only ends the row, and since there is
  /// no slow rate, calls in flight are not counted and need not be taken back.
  [[nodiscard]] bool counts_only_rows() const noexcept {
    return params.load_only(&BreakerParams::failure_rate) == 0 &&
           params.load_only(&BreakerParams::slow_rate) == 0;
  }
};

// Shares and factors are kept as whole numbers, in this many parts of 1.
inline constexpr std::uint32_t kShareParts = 10'000;
inline constexpr std::uint32_t kFactorParts = 100;
[[nodiscard]] std::uint32_t in_parts(double value, std::uint32_t of) noexcept;

/// The default of minimum_calls: how many calls must be in the window before a rate counts.
[[nodiscard]] constexpr std::uint32_t usual_minimum(std::uint32_t window_calls) noexcept {
  constexpr std::uint32_t kUsual = 10;
  return window_calls == 0 ? kUsual : std::min(kUsual, window_calls);
}

/// The position of an operator's switch. A shadow breaker is always `metrics_only`, so that kind means an automatic
/// switch there.
[[nodiscard]] BreakerSwitch switch_of(BreakerKind kind, bool shadow) noexcept;
/// The kind that an operator's switch gives a breaker.
[[nodiscard]] BreakerKind kind_of(BreakerSwitch position, bool shadow) noexcept;
[[nodiscard]] inline bool is_switched(BreakerKind kind, bool shadow) noexcept {
  return switch_of(kind, shadow) != BreakerSwitch::automatic;
}

[[nodiscard]] BreakerParams to_params(const Breaker& breaker, std::uint64_t seed) noexcept;
[[nodiscard]] Breaker to_policy(const BreakerParams& params, bool shadow) noexcept;

}  // namespace weir::detail

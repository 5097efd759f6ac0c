// SPDX-License-Identifier: Apache-2.0
#pragma once

// The breaker of an operation: its words, and its parameters beside them.

#include <algorithm>
#include <cstdint>

#include "weir/policy.hpp"

#include "primitives/breaker.hpp"
#include "primitives/versioned.hpp"

namespace weir::detail {

struct alignas(kCacheLine) BreakerRecord {
  CircuitBreaker breaker;
  Versioned<BreakerParams> params;

  /// Whether only rows of failures are counted: then of a call that did not fail there is nothing to count but
  /// the end of a row. Without a slow rate no call in flight counts either, so there is none to take back.
  [[nodiscard]] bool counts_only_rows() const noexcept {
    return params.load_only(&BreakerParams::failure_rate) == 0 &&
           params.load_only(&BreakerParams::slow_rate) == 0;
  }
};

// In how many parts shares and factors are kept.
inline constexpr std::uint32_t kShareParts = 10'000;
inline constexpr std::uint32_t kFactorParts = 100;
[[nodiscard]] std::uint32_t in_parts(double value, std::uint32_t of) noexcept;

/// How many calls must be in the window before a rate counts, where nobody says it.
[[nodiscard]] constexpr std::uint32_t usual_minimum(std::uint32_t window_calls) noexcept {
  constexpr std::uint32_t kUsual = 10;
  return window_calls == 0 ? kUsual : std::min(kUsual, window_calls);
}

/// Where an operator's switch of a breaker stands; of one that only counts `metrics_only` goes without
/// saying.
[[nodiscard]] BreakerSwitch switch_of(BreakerKind kind, bool shadow) noexcept;
/// What a switch makes of a breaker.
[[nodiscard]] BreakerKind kind_of(BreakerSwitch position, bool shadow) noexcept;
[[nodiscard]] inline bool is_switched(BreakerKind kind, bool shadow) noexcept {
  return switch_of(kind, shadow) != BreakerSwitch::automatic;
}

[[nodiscard]] BreakerParams to_params(const Breaker& breaker, std::uint64_t seed) noexcept;
[[nodiscard]] Breaker to_policy(const BreakerParams& params, bool shadow) noexcept;

}  // namespace weir::detail

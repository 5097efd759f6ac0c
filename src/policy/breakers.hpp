#pragma once

// The breaker of an operation: its words, and its parameters beside them.

#include <cstdint>

#include "weir/policy.hpp"

#include "primitives/breaker.hpp"
#include "primitives/versioned.hpp"

namespace weir::detail {

struct alignas(kCacheLine) BreakerRecord {
  Breaker breaker;
  Versioned<BreakerParams> params;

  /// Whether there is nothing to count of a call of `generation` that did not fail and was no probe: no row
  /// of failures that it would end, and no window. Three loads.
  [[nodiscard]] bool indifferent_to_success(std::uint16_t generation) const noexcept {
    return breaker.in_a_row(generation) == 0 && params.load_only(&BreakerParams::failure_rate) == 0 &&
           params.load_only(&BreakerParams::slow_rate) == 0;
  }
};

[[nodiscard]] BreakerParams to_params(const weir::Breaker& breaker, std::uint64_t seed) noexcept;
[[nodiscard]] weir::Breaker to_policy(const BreakerParams& params, bool shadow) noexcept;

}  // namespace weir::detail

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
};

[[nodiscard]] BreakerParams to_params(const weir::Breaker& breaker, std::uint64_t seed) noexcept;
[[nodiscard]] weir::Breaker to_policy(const BreakerParams& params, bool shadow) noexcept;

}  // namespace weir::detail

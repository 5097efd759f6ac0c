// SPDX-License-Identifier: Apache-2.0
#pragma once

// The header fields that tell a client how much of its limits is left.

#include <chrono>
#include <cstddef>
#include <vector>

#include "weir/decision.hpp"
#include "weir/http.hpp"

namespace weir::detail {

/// The most bytes that RateLimit-Policy and RateLimit take together, names included. Servers and proxies
/// refuse a header that is too large, and neither the number of limits nor the length of their names is
/// bounded by us.
inline constexpr std::size_t kMaxRateLimitBytes = 1000;

[[nodiscard]] long whole_seconds(std::chrono::nanoseconds duration);

/// Puts the limit that refused first, and sorts the others by the share that is left of each.
[[nodiscard]] std::vector<Quota> tightest_first(std::vector<Quota> quotas, LimitId refused_by);

/// Adds RateLimit-Policy and RateLimit, both with the same limits: as many of `quotas`, in their order, as
/// kMaxRateLimitBytes has room for.
/// @param retry_after  the Retry-After of the same answer, or 0.
void add_rate_limit(std::vector<HttpField>& fields, const std::vector<Quota>& quotas, long retry_after);

/// Adds X-RateLimit-Limit, -Remaining and -Reset.
void add_x_rate_limit(std::vector<HttpField>& fields, const Quota& quota);

}  // namespace weir::detail

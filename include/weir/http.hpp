// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"
#include "weir/export.hpp"

namespace weir {

struct HttpField {
  std::string name;
  std::string value;

  friend bool operator==(const HttpField&, const HttpField&) = default;
};

/// A decision in terms of HTTP.
struct HttpAnswer {
  int status = 200;  ///< 200 admitted; 429 throttled, blocked; 503 shed, circuit_open; 400 never, invalid
  /// For a body: "rate_limit_exceeded", "service_unavailable", "invalid_request"; empty if admitted.
  std::string_view error;
  /// Whole seconds, rounded up, at least 1; 0 if no wait helps, or none is needed.
  long retry_after = 0;
  std::vector<HttpField> fields;
};

struct HttpOptions {
  /// RateLimit and RateLimit-Policy, one item per quota (draft-ietf-httpapi-ratelimit-headers-10): the limit
  /// that refused first, then by the share that is left. `t` is the time until more is available, and never
  /// later than Retry-After. Both fields together take at most 1 kB; the limits beyond that are left out.
  bool rate_limit = true;
  /// X-RateLimit-Limit, -Remaining and -Reset (seconds from now), of the quota that is nearest to its end.
  bool x_rate_limit = false;
};

/// Status and header fields for a decision.
/// @param quotas  what Limiter::quotas() returned for the same request; may be empty.
[[nodiscard]] WEIR_EXPORT HttpAnswer http_answer(const Decision& decision,
                                                 const std::vector<Quota>& quotas = {},
                                                 const HttpOptions& options = {});

}  // namespace weir

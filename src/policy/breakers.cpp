// SPDX-License-Identifier: Apache-2.0
#include "policy/breakers.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/ticks.hpp"

namespace weir::detail {
namespace {

constexpr double kShare = kShareParts;
constexpr double kFactor = kFactorParts;
/// Stands for "no max_recovery": it is longer than any recovery.
constexpr std::uint64_t kNoMaximum = kMaxDepthTicks;

std::uint64_t ticks(std::chrono::nanoseconds length) {
  return ticks_from_ns(static_cast<std::uint64_t>(std::max<std::int64_t>(0, length.count())));
}
std::chrono::nanoseconds nanoseconds(std::uint64_t ticks) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns_from_ticks(ticks)));
}
}  // namespace

std::uint32_t in_parts(double value, std::uint32_t of) noexcept {
  return static_cast<std::uint32_t>(std::lround(value * of));
}

BreakerSwitch switch_of(BreakerKind kind, bool shadow) noexcept {
  switch (kind) {
    case BreakerKind::forced_open:
      return BreakerSwitch::forced_open;
    case BreakerKind::forced_closed:
      return BreakerSwitch::forced_closed;
    case BreakerKind::disabled:
      return BreakerSwitch::disabled;
    case BreakerKind::metrics_only:
      return shadow ? BreakerSwitch::automatic : BreakerSwitch::metrics_only;
    default:
      return BreakerSwitch::automatic;
  }
}

BreakerKind kind_of(BreakerSwitch position, bool shadow) noexcept {
  switch (position) {
    case BreakerSwitch::forced_open:
      return BreakerKind::forced_open;
    case BreakerSwitch::forced_closed:
      return BreakerKind::forced_closed;
    case BreakerSwitch::disabled:
      return BreakerKind::disabled;
    case BreakerSwitch::metrics_only:
      return BreakerKind::metrics_only;
    case BreakerSwitch::automatic:
      break;
  }
  return shadow ? BreakerKind::metrics_only : BreakerKind::closed;
}

BreakerParams to_params(const Breaker& breaker, std::uint64_t seed) noexcept {
  BreakerParams params;
  params.consecutive = breaker.failures;
  params.failure_rate = in_parts(breaker.failure_rate, kShareParts);
  params.slow_rate = in_parts(breaker.slow_rate, kShareParts);
  params.minimum_calls =
      breaker.minimum_calls != 0 ? breaker.minimum_calls : usual_minimum(breaker.window_calls);
  params.window_calls = breaker.window_calls;
  params.factor = in_parts(breaker.recovery_factor, kFactorParts);
  params.jitter = in_parts(breaker.jitter, kShareParts);
  params.probes = breaker.probes;
  params.successes = breaker.successes;
  params.window = ticks(breaker.window);
  params.slow_call = ticks(breaker.slow_call);
  params.recovery = ticks(breaker.recovery);
  params.max_recovery = breaker.max_recovery.count() == 0 ? kNoMaximum : ticks(breaker.max_recovery);
  params.probe_timeout = breaker.probe_timeout.count() == 0 ? params.recovery : ticks(breaker.probe_timeout);
  params.seed = seed;
  return params;
}

Breaker to_policy(const BreakerParams& params, bool shadow) noexcept {
  Breaker breaker;
  breaker.failures = params.consecutive;
  breaker.failure_rate = params.failure_rate / kShare;
  breaker.slow_rate = params.slow_rate / kShare;
  breaker.minimum_calls =
      params.minimum_calls == usual_minimum(params.window_calls) ? 0 : params.minimum_calls;
  breaker.window_calls = params.window_calls;
  breaker.recovery_factor = params.factor / kFactor;
  breaker.jitter = params.jitter / kShare;
  breaker.probes = params.probes;
  breaker.successes = params.successes;
  breaker.window = nanoseconds(params.window);
  breaker.slow_call = nanoseconds(params.slow_call);
  breaker.recovery = nanoseconds(params.recovery);
  breaker.max_recovery =
      params.max_recovery >= kNoMaximum ? std::chrono::nanoseconds(0) : nanoseconds(params.max_recovery);
  breaker.probe_timeout = params.probe_timeout == params.recovery ? std::chrono::nanoseconds(0)
                                                                  : nanoseconds(params.probe_timeout);
  breaker.shadow = shadow;
  return breaker;
}

}  // namespace weir::detail

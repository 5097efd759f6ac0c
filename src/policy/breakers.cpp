#include "policy/breakers.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/ticks.hpp"

namespace weir::detail {
namespace {

constexpr double kShare = 10'000;  // parts of a share
constexpr double kFactor = 100;

std::uint64_t ticks(std::chrono::nanoseconds length) {
  return std::min(ticks_from_ns(static_cast<std::uint64_t>(std::max<std::int64_t>(0, length.count()))),
                  kMaxDepthTicks);
}
std::chrono::nanoseconds nanoseconds(std::uint64_t ticks) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns_from_ticks(ticks)));
}
std::uint32_t parts(double value, double of) {
  return static_cast<std::uint32_t>(std::lround(value * of));
}

}  // namespace

BreakerParams to_params(const weir::Breaker& breaker, std::uint64_t seed) noexcept {
  BreakerParams params;
  params.consecutive = breaker.failures;
  params.failure_rate = parts(breaker.failure_rate, kShare);
  params.slow_rate = parts(breaker.slow_rate, kShare);
  params.minimum_calls = breaker.minimum_calls;
  params.window_calls = breaker.window_calls;
  params.factor = parts(breaker.recovery_factor, kFactor);
  params.jitter = parts(breaker.jitter, kShare);
  params.probes = breaker.probes;
  params.successes = breaker.successes;
  params.window = ticks(breaker.window);
  params.slow_call = ticks(breaker.slow_call);
  params.recovery = ticks(breaker.recovery);
  params.max_recovery = breaker.max_recovery.count() == 0 ? kMaxDepthTicks : ticks(breaker.max_recovery);
  params.probe_timeout = breaker.probe_timeout.count() == 0 ? params.recovery : ticks(breaker.probe_timeout);
  params.seed = seed;
  return params;
}

weir::Breaker to_policy(const BreakerParams& params, bool shadow) noexcept {
  weir::Breaker breaker;
  breaker.failures = params.consecutive;
  breaker.failure_rate = params.failure_rate / kShare;
  breaker.slow_rate = params.slow_rate / kShare;
  breaker.minimum_calls = params.minimum_calls;
  breaker.window_calls = params.window_calls;
  breaker.recovery_factor = params.factor / kFactor;
  breaker.jitter = params.jitter / kShare;
  breaker.probes = params.probes;
  breaker.successes = params.successes;
  breaker.window = nanoseconds(params.window);
  breaker.slow_call = nanoseconds(params.slow_call);
  breaker.recovery = nanoseconds(params.recovery);
  breaker.max_recovery =
      params.max_recovery >= kMaxDepthTicks ? std::chrono::nanoseconds(0) : nanoseconds(params.max_recovery);
  breaker.probe_timeout = params.probe_timeout == params.recovery ? std::chrono::nanoseconds(0)
                                                                  : nanoseconds(params.probe_timeout);
  breaker.shadow = shadow;
  return breaker;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0

// What counting costs: the same admission, release and refusal with everything counted, without response times, and with
// nothing counted, in one run. Beside them what the cheapest shared counter would cost: two additions to one atomic.

#include <atomic>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace {

constexpr const char* kOneRate = "[operations.x]\nrate = '10000000/s burst 10000000'\n";
constexpr const char* kFive =
    "[global]\nrate = '10000000/s burst 10000000'\n"
    "[operations.x]\nrate = '10000000/s burst 10000000'\nconcurrent = 64\n"
    "breaker = { failures = 5, recovery = '30s' }\n"
    "[operations.x.user]\nrate = '10000000/s burst 10000000'\nconcurrent = 4\n";
constexpr const char* kRefusal = "[operations.x]\nrate = '1/day burst 1'\n";

weir::Limiter open(const char* limits, weir::Metrics metrics) {
  auto config = weir::parse_config(limits, "bench");
  if (!config) std::abort();
  config->segment.users = 1'000;
  config->segment.metrics = metrics;
  auto limiter = weir::Limiter::open_private(*config);
  if (!limiter) std::abort();
  return std::move(*limiter);
}

void admit(benchmark::State& state, const char* limits, weir::Metrics metrics, std::string_view user) {
  weir::Limiter limiter = open(limits, metrics);
  const weir::Operation x = *limiter.operation("x");
  for (auto _ : state) {
    weir::Admission admission = limiter.admit(x, {.user = user});
    benchmark::DoNotOptimize(admission);
    admission.succeed();
  }
}
void refuse(benchmark::State& state, weir::Metrics metrics) {
  weir::Limiter limiter = open(kRefusal, metrics);
  const weir::Operation x = *limiter.operation("x");
  (void)limiter.admit(x);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit(x));
}
void shared_counter(benchmark::State& state) {
  static std::atomic<std::uint64_t> counter{0};
  for (auto _ : state) {
    counter.fetch_add(1, std::memory_order_relaxed);
    counter.fetch_add(1, std::memory_order_relaxed);
  }
}

using weir::Metrics;
BENCHMARK_CAPTURE(admit, one_rate_off, kOneRate, Metrics::off, "");
BENCHMARK_CAPTURE(admit, one_rate_counts, kOneRate, Metrics::counts, "");
BENCHMARK_CAPTURE(admit, one_rate_times, kOneRate, Metrics::times, "");
BENCHMARK_CAPTURE(admit, five_and_breaker_off, kFive, Metrics::off, "alice");
BENCHMARK_CAPTURE(admit, five_and_breaker_counts, kFive, Metrics::counts, "alice");
BENCHMARK_CAPTURE(admit, five_and_breaker_times, kFive, Metrics::times, "alice");
BENCHMARK_CAPTURE(refuse, off, Metrics::off);
BENCHMARK_CAPTURE(refuse, counted, Metrics::times);
BENCHMARK(shared_counter);

}  // namespace

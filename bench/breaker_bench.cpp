// SPDX-License-Identifier: Apache-2.0

// A breaker beside the floor of its work, with one process and with two.
//
// Measures  looking at and passing a closed breaker, beside a loop with one load; reporting a success when no
//           failure is counted; a failure and the success that resets the count; both over a time window; a
//           refusal. The argument is the number of processes that do it at once.
// Not       probes and transitions, which are rare, or more processes than processors.

#include <benchmark/benchmark.h>

#include "floors.hpp"
#include "neighbour.hpp"
#include "primitives/breaker.hpp"

namespace weir {
namespace {

using detail::BreakerKind;
using detail::BreakerOutcome;
using detail::BreakerParams;
using detail::CircuitBreaker;
using detail::Owner;

constexpr std::uint64_t kSecond = std::uint64_t{128} * 1'000'000'000;
constexpr std::uint64_t kNow = 1'000 * kSecond;
constexpr Owner kOwner(0, 1);
constexpr BreakerParams kInARow{.consecutive = 1'000'000, .recovery = kSecond, .probe_timeout = kSecond};
constexpr BreakerParams kOverTime{.failure_rate = 9'999,
                                  .minimum_calls = 20,
                                  .window = 10 * kSecond,
                                  .recovery = kSecond,
                                  .probe_timeout = kSecond};
constexpr BreakerParams kOverCalls{.failure_rate = 9'999,
                                   .minimum_calls = 20,
                                   .window_calls = 1'000,
                                   .recovery = kSecond,
                                   .probe_timeout = kSecond};

void BM_Floor_Load(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0),
          [&] { benchmark::DoNotOptimize(line->word.load(std::memory_order_relaxed)); });
}
BENCHMARK(BM_Floor_Load)->Arg(1)->Arg(2);

void BM_Breaker_CheckClosed(benchmark::State& state) {
  Shared<CircuitBreaker> breaker;
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(breaker->check(kInARow, kNow).wait); });
}
BENCHMARK(BM_Breaker_CheckClosed)->Arg(1)->Arg(2);

void BM_Breaker_AdmitClosed(benchmark::State& state) {
  Shared<CircuitBreaker> breaker;
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(breaker->admit(kInARow, kNow, kOwner)); });
}
BENCHMARK(BM_Breaker_AdmitClosed)->Arg(1)->Arg(2);

void BM_Breaker_RefuseOpen(benchmark::State& state) {
  Shared<CircuitBreaker> breaker;
  BreakerParams params = kInARow;
  params.consecutive = 1;
  (void)breaker->report(params, {}, BreakerOutcome::failure, 0, kNow);
  measure(state, state.range(0),
          [&] { benchmark::DoNotOptimize(breaker->admit(params, kNow, kOwner).wait); });
}
BENCHMARK(BM_Breaker_RefuseOpen)->Arg(1);

void BM_Breaker_ReportSuccess(benchmark::State& state) {
  Shared<CircuitBreaker> breaker;
  measure(state, state.range(0), [&] {
    benchmark::DoNotOptimize(breaker->report(kInARow, {}, BreakerOutcome::success, 0, kNow).happened);
  });
}
BENCHMARK(BM_Breaker_ReportSuccess)->Arg(1)->Arg(2);

void BM_Breaker_ReportFailureThenSuccess(benchmark::State& state) {
  Shared<CircuitBreaker> breaker;
  measure(state, state.range(0), [&] {
    benchmark::DoNotOptimize(breaker->report(kInARow, {}, BreakerOutcome::failure, 0, kNow).happened);
    benchmark::DoNotOptimize(breaker->report(kInARow, {}, BreakerOutcome::success, 0, kNow).happened);
  });
}
BENCHMARK(BM_Breaker_ReportFailureThenSuccess)->Arg(1)->Arg(2);

void report_over(benchmark::State& state, const BreakerParams& params) {
  Shared<CircuitBreaker> breaker;
  std::uint64_t now = kNow;
  measure(state, state.range(0), [&] {
    now += 128;  // one call each nanosecond: it fills the cells, and moves on
    benchmark::DoNotOptimize(breaker->report(params, {}, BreakerOutcome::success, 0, now).happened);
  });
}
void BM_Breaker_ReportOverTime(benchmark::State& state) {
  report_over(state, kOverTime);
}
BENCHMARK(BM_Breaker_ReportOverTime)->Arg(1)->Arg(2);
void BM_Breaker_ReportOverCalls(benchmark::State& state) {
  report_over(state, kOverCalls);
}
BENCHMARK(BM_Breaker_ReportOverCalls)->Arg(1)->Arg(2);

}  // namespace
}  // namespace weir

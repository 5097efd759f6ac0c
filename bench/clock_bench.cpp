// SPDX-License-Identifier: Apache-2.0

// The cost of the time, which is most of an admission.
//
// Measures  CLOCK_MONOTONIC, the counter alone, and FastClock, which tells the first by the second.
// Not       the first 17 ms of a thread, in which FastClock learns the counter's rate and costs twice as much
//           as the clock.

#include <benchmark/benchmark.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/fast_clock.hpp"

namespace weir {
namespace {

void BM_Clock_Monotonic(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(HostClock::now());
}
BENCHMARK(BM_Clock_Monotonic);

#if defined(__x86_64__)
void BM_Clock_Counter(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(__rdtsc());
}
BENCHMARK(BM_Clock_Counter);
#endif

void BM_Clock_Fast(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(detail::FastClock::now());
}
BENCHMARK(BM_Clock_Fast);

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// One admission beside its floor, in one process.
//
// Measures  what Limiter::admit costs beyond the least that any shared limiter must do: read the clock and
//           exchange one word to admit, read the clock and load one word to refuse. Then limits that are rarer, each
//           alone, at times of the benchmark's own, so that windows never fill.
// Not       contention between processes (decision_bench), or a user table larger than the cache.

#include <benchmark/benchmark.h>
#include <chrono>
#include <string>
#include <vector>

#include "floors.hpp"
#include "limits.hpp"

namespace weir {
namespace {

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Line line;
  for (auto _ : state) clock_and_exchange(line);
}
BENCHMARK(BM_Floor_ClockAndExchange);

void BM_Admit_OneRate(benchmark::State& state) {
  Limiter limiter = limiter_with(one_rate("operations.x", kWide));
  const Operation x = *limiter.operation("x");
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit(x).verdict());
}
BENCHMARK(BM_Admit_OneRate);

void BM_Admit_OneRate_ByName(benchmark::State& state) {
  Limiter limiter = limiter_with(one_rate("operations.x", kWide));
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit("x").verdict());
}
BENCHMARK(BM_Admit_OneRate_ByName);

void BM_Floor_ClockAndLoad(benchmark::State& state) {
  const Line line;
  for (auto _ : state) clock_and_load(line);
}
BENCHMARK(BM_Floor_ClockAndLoad);

void BM_Refuse_OneRate(benchmark::State& state) {
  Limiter limiter = limiter_with(one_rate("operations.x", kNarrow));
  const Operation x = *limiter.operation("x");
  (void)limiter.admit(x);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit(x).verdict());
}
BENCHMARK(BM_Refuse_OneRate);

// A global rate, a rate of the operation and one of the user, over a number of users.
void BM_Admit_GlobalOperationUser(benchmark::State& state) {
  Limiter limiter = limiter_with(room_for(state.range(0)) + one_rate("global", kWide) +
                                 one_rate("operations.x", kWide) + one_rate("operations.x.user", kWide));
  const Operation x = *limiter.operation("x");
  const std::vector<std::string> names = user_names(state.range(0));
  for (const std::string& name : names) (void)limiter.admit(x, {.user = name});
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter.admit(x, {.user = names[next]}).verdict());
    next = next + 1 == names.size() ? 0 : next + 1;
  }
}
BENCHMARK(BM_Admit_GlobalOperationUser)->Arg(1000)->Arg(1'000'000);

// Admits, a second after the last time, and reports a success.
void BM_Rare(benchmark::State& state, const std::string& limits, Request request) {
  Limiter limiter = limiter_with(limits);
  const Operation x = *limiter.operation("x");
  HostClock::time_point now = HostClock::now();
  for (auto _ : state) {
    now += std::chrono::seconds(1);
    Admission admission = limiter.admit_at(now, x, request);
    benchmark::DoNotOptimize(admission.verdict());
    admission.succeed();
  }
}
constexpr Request kUser{.user = "user-1"};
constexpr const char* kThousand = "'1000/s burst 1000'";
BENCHMARK_CAPTURE(BM_Rare, five_limits, five_limits(kThousand, kThousand), kUser);
BENCHMARK_CAPTURE(BM_Rare, five_limits_refused_by_the_users_rate, five_limits(kThousand, "'1/100d burst 1'"),
                  kUser);
BENCHMARK_CAPTURE(BM_Rare, five_limits_of_nobody, five_limits(kThousand, kThousand), Request{});
BENCHMARK_CAPTURE(BM_Rare, five_limits_at_cost_2, five_limits(kThousand, kThousand),
                  {.user = "user-1", .cost = 2});
BENCHMARK_CAPTURE(BM_Rare, five_limits_at_weight_2, five_limits(kThousand, kThousand),
                  {.user = "user-1", .weight = 2});
BENCHMARK_CAPTURE(BM_Rare, window_log, "[operations.x]\nwindow = { limit = '100 per 1min', kind = 'log' }\n",
                  Request{});
BENCHMARK_CAPTURE(BM_Rare, window_ring,
                  "[operations.x]\nwindow = { limit = '100 per 1min', kind = 'ring' }\n", Request{});
BENCHMARK_CAPTURE(BM_Rare, window_fixed,
                  "[operations.x]\nwindow = { limit = '100 per 1min', kind = 'fixed' }\n", Request{});
BENCHMARK_CAPTURE(BM_Rare, window_of_a_user, "[operations.x.user]\nwindow = '100 per 1min'\n", kUser);
BENCHMARK_CAPTURE(BM_Rare, fixed_window_of_a_user,
                  "[operations.x.user]\nwindow = { limit = '100 per 1min', kind = 'fixed' }\n", kUser);
BENCHMARK_CAPTURE(BM_Rare, overridden_user,
                  "[operations.x.user]\nrate = '10/s'\n[overrides.users.user-1]\nrate = '20/s'\n", kUser);
BENCHMARK_CAPTURE(BM_Rare, beside_an_overridden_user,
                  "[operations.x.user]\nrate = '10/s'\n[overrides.users.user-2]\nrate = '20/s'\n", kUser);
BENCHMARK_CAPTURE(BM_Rare, cooldown,
                  "[operations.x]\nrate = '10/s'\ncooldown = { for = '10s', refusals = 3 }\n", Request{});
BENCHMARK_CAPTURE(BM_Rare, cooldown_of_a_user,
                  "[operations.x.user]\nrate = '10/s'\ncooldown = { for = '10s', refusals = 3 }\n", kUser);
BENCHMARK_CAPTURE(BM_Rare, rate_and_permits, "[operations.x]\nrate = '10/s'\nconcurrent = 64\n", Request{});
BENCHMARK_CAPTURE(BM_Rare, rate_that_only_counts,
                  "[operations.x]\nrate = { limit = '10/s', shadow = true }\n", Request{});

}  // namespace
}  // namespace weir

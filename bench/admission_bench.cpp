// SPDX-License-Identifier: Apache-2.0

// One admission beside its floor, in one process.
//
// Measures  what Limiter::admit costs beyond the least that any shared limiter must do: read the clock and
//           exchange one word to admit, read the clock and load one word to refuse. Then limits that are rarer, each
//           alone, at times of the benchmark's own, so that windows never fill.
// Not       contention between processes (processes_bench), or a user table larger than the cache.

#include <atomic>
#include <benchmark/benchmark.h>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

// A rate that never refuses in a benchmark, and one that refuses after its first token.
constexpr const char* kWide = "10000000/s burst 1000000000";
constexpr const char* kNarrow = "1/day burst 1";

Limiter limiter_with(const std::string& toml) {
  auto config = parse_config(toml, "bench");
  if (!config) throw std::runtime_error(config.error().message());
  auto limiter = Limiter::open_private(*config);
  if (!limiter) throw std::runtime_error(limiter.error().message());
  return std::move(*limiter);
}

std::string rate_line(const std::string& table, const char* rate) {
  return "[" + table + "]\nrate = \"" + rate + "\"\n";
}

struct alignas(64) Line {
  std::atomic<std::uint64_t> word{0};
};

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Line line;
  for (auto _ : state) {
    const auto now = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count());
    std::uint64_t seen = line.word.load(std::memory_order_relaxed);
    benchmark::DoNotOptimize(line.word.compare_exchange_strong(seen, now, std::memory_order_relaxed));
  }
}
BENCHMARK(BM_Floor_ClockAndExchange);

void BM_Admit_OneRate(benchmark::State& state) {
  Limiter limiter = limiter_with(rate_line("operations.x", kWide));
  const Operation x = *limiter.operation("x");
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit(x).verdict());
}
BENCHMARK(BM_Admit_OneRate);

void BM_Admit_OneRate_ByName(benchmark::State& state) {
  Limiter limiter = limiter_with(rate_line("operations.x", kWide));
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit("x").verdict());
}
BENCHMARK(BM_Admit_OneRate_ByName);

void BM_Floor_ClockAndLoad(benchmark::State& state) {
  Line line;
  for (auto _ : state) {
    const auto now = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count());
    benchmark::DoNotOptimize(line.word.load(std::memory_order_relaxed) > now);
  }
}
BENCHMARK(BM_Floor_ClockAndLoad);

void BM_Refuse_OneRate(benchmark::State& state) {
  Limiter limiter = limiter_with(rate_line("operations.x", kNarrow));
  const Operation x = *limiter.operation("x");
  (void)limiter.admit(x);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.admit(x).verdict());
}
BENCHMARK(BM_Refuse_OneRate);

std::vector<std::string> user_names(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("user-" + std::to_string(i * 7919 % count));
  return names;
}

// A global rate, a rate of the operation and one of the user, over a number of users.
void BM_Admit_GlobalOperationUser(benchmark::State& state) {
  const auto users = static_cast<std::size_t>(state.range(0));
  Limiter limiter =
      limiter_with("[segment]\nusers = " + std::to_string(users) + "\n" + rate_line("global", kWide) +
                   rate_line("operations.x", kWide) + rate_line("operations.x.user", kWide));
  const Operation x = *limiter.operation("x");
  const std::vector<std::string> names = user_names(users);
  for (const std::string& name : names) (void)limiter.admit(x, {.user = name});
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter.admit(x, {.user = names[next]}).verdict());
    next = next + 1 == users ? 0 : next + 1;
  }
}
BENCHMARK(BM_Admit_GlobalOperationUser)->Arg(1000)->Arg(1'000'000);

// Admits, a second after the last time, and reports a success.
void BM_Rare(benchmark::State& state, const char* limits, Request request) {
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
constexpr const char* kFive = R"(
[global]
rate = "1000/s burst 1000"
[operations.x]
rate = "1000/s burst 1000"
concurrent = 64
breaker = { failures = 5, recovery = "30s" }
[operations.x.user]
rate = "1000/s burst 1000"
concurrent = 4
)";
constexpr const char* kFiveRefusing = R"(
[global]
rate = "1000/s burst 1000"
[operations.x]
rate = "1000/s burst 1000"
concurrent = 64
breaker = { failures = 5, recovery = "30s" }
[operations.x.user]
rate = "1/100d burst 1"
concurrent = 4
)";
BENCHMARK_CAPTURE(BM_Rare, five_limits, kFive, kUser);
BENCHMARK_CAPTURE(BM_Rare, five_limits_refused_by_the_users_rate, kFiveRefusing, kUser);
BENCHMARK_CAPTURE(BM_Rare, five_limits_of_nobody, kFive, Request{});
BENCHMARK_CAPTURE(BM_Rare, five_limits_at_cost_2, kFive, {.user = "user-1", .cost = 2});
BENCHMARK_CAPTURE(BM_Rare, five_limits_at_weight_2, kFive, {.user = "user-1", .weight = 2});
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

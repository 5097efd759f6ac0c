// SPDX-License-Identifier: Apache-2.0

// One admission beside its floor, in one process.
//
// Measures  what Limiter::admit costs beyond the least that any shared limiter must do: read the clock and
//           exchange one word to admit, read the clock and load one word to refuse.
// Not       contention between processes (processes_bench), or a user table larger than the cache.

#include <atomic>
#include <benchmark/benchmark.h>
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

}  // namespace
}  // namespace weir

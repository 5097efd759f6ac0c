// SPDX-License-Identifier: Apache-2.0

// A whole decision over five limits and a breaker, beside its floor and beside one robust mutex.
//
// Measures  admit and release over: global rate, operation rate, user rate, permits of the operation and of
//           each user, with the breaker closed. The arguments are the numbers of users and of processes at
//           once. The rival does the same with plain words under one robust process-shared mutex, which is
//           locked once to admit and once to release.
//           With more processes than processors compare real times: a process that waits for the mutex takes no CPU time.
// Not       refusals, waiting.

#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "floors.hpp"
#include "limits.hpp"
#include "neighbour.hpp"
#include "rivals/locked_limits.hpp"
#include "rivals/locks.hpp"

namespace weir {
namespace {

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(1), [&] { clock_and_exchange(*line); });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Args({1, 1})->Args({1, 2});

void every_size(benchmark::internal::Benchmark* it) {
  it->Args({1'000, 1})->Args({1'000, 2})->Args({1'000, 8})->Args({1'000'000, 1})->Args({1'000'000, 2});
}

void BM_Decision(benchmark::State& state) {
  Limiter limiter = limiter_with(room_for(state.range(0)) + five_limits(kWide, kWide));
  const Operation x = *limiter.operation("x");
  const std::vector<std::string> users = user_names(state.range(0));
  for (const std::string& user : users) (void)limiter.admit(x, {.user = user});
  std::size_t next = static_cast<std::size_t>(::getpid()) % users.size();
  measure(state, state.range(1), [&] {
    next = next + 1 < users.size() ? next + 1 : 0;
    Admission admission = limiter.admit(x, {.user = users[next]});
    benchmark::DoNotOptimize(admission.verdict());
    admission.succeed();
  });
}
BENCHMARK(BM_Decision)->Apply(every_size);

void BM_Rival_OneRobustMutex(benchmark::State& state) {
  using Limits = rivals::LockedFiveLimits<rivals::RobustMutex>;
  const SharedArray<Limits::User> table(Limits::entries_for(state.range(0)));
  Shared<Limits> limits(table.get());
  const std::vector<std::string> users = user_names(state.range(0));
  std::size_t next = static_cast<std::size_t>(::getpid()) % users.size();
  measure(state, state.range(1), [&] {
    next = next + 1 < users.size() ? next + 1 : 0;
    Limits::User* const user = limits->admit(users[next]);
    benchmark::DoNotOptimize(user);
    if (user != nullptr) limits->release(*user);
  });
}
BENCHMARK(BM_Rival_OneRobustMutex)->Apply(every_size);

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// Permits and whole admissions beside their floors and a rival, with one process and with two.
//
// Measures  taking and giving back a permit, beside a pair of compare-exchanges on a cache line of its own;
//           an admission and its release over rates and permits, global and per user, beside (clock + one
//           compare-exchange); SysV semop with SEM_UNDO, which is how Semian survives a killed worker. The
//           argument is the number of processes that do it at once.
// Not       tables larger than the cache, waiting, or more processes than processors.

#include <array>
#include <benchmark/benchmark.h>
#include <string>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <vector>

#include "floors.hpp"
#include "limits.hpp"
#include "neighbour.hpp"
#include "primitives/permits.hpp"

namespace weir {
namespace {

using detail::Owner;
using detail::Permits;
using detail::Word;

void BM_Floor_ExchangePair(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0), [&] {
    std::uint64_t seen = 0;
    benchmark::DoNotOptimize(line->word.compare_exchange_strong(seen, 1, std::memory_order_acquire));
    seen = 1;
    benchmark::DoNotOptimize(line->word.compare_exchange_strong(seen, 0, std::memory_order_release));
  });
}
BENCHMARK(BM_Floor_ExchangePair)->Arg(1);

void BM_Permit_TakeAndGive(benchmark::State& state) {
  Shared<std::array<Word, 64>> cells;
  Permits permits(*cells);
  const Owner owner(0, 1);
  measure(state, state.range(0),
          [&] { benchmark::DoNotOptimize(permits.give_back(permits.take(owner, 64, 1, 0, 12345))); });
}
BENCHMARK(BM_Permit_TakeAndGive)->Arg(1);

void BM_Rival_SemopWithUndo(benchmark::State& state) {
  const int semaphore = ::semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
  sembuf give{0, 1, 0};
  for (int i = 0; i < 64; ++i) ::semop(semaphore, &give, 1);
  measure(state, state.range(0), [&] {
    sembuf down{0, -1, SEM_UNDO | IPC_NOWAIT};
    sembuf up{0, 1, SEM_UNDO | IPC_NOWAIT};
    ::semop(semaphore, &down, 1);
    ::semop(semaphore, &up, 1);
  });
  ::semctl(semaphore, 0, IPC_RMID);
}
BENCHMARK(BM_Rival_SemopWithUndo)->Arg(1)->Arg(2);

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0), [&] { clock_and_exchange(*line); });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Arg(1)->Arg(2);

// A rate and permits for the operation, and a rate and permits for each of 1,000 users.
void BM_AdmitAndRelease_RateAndPermits_1000Users(benchmark::State& state) {
  Limiter limiter = limiter_with(room_for(1000) + one_rate("operations.x", kWide) + "concurrent = 64\n" +
                                 one_rate("operations.x.user", kWide) + "concurrent = 4\n");
  const Operation x = *limiter.operation("x");
  const std::vector<std::string> users = user_names(1000);
  std::size_t next = static_cast<std::size_t>(::getpid());
  measure(state, state.range(0), [&] {
    next = next + 1 < users.size() ? next + 1 : 0;
    benchmark::DoNotOptimize(limiter.admit(x, {.user = users[next]}).verdict());
  });
}
BENCHMARK(BM_AdmitAndRelease_RateAndPermits_1000Users)->Arg(1)->Arg(2);

void BM_Shed_FullPool(benchmark::State& state) {
  Limiter limiter = limiter_with("[operations.x]\nconcurrent = 20\n");
  const Operation x = *limiter.operation("x");
  std::vector<Admission> held;
  for (int i = 0; i < 20; ++i) held.push_back(limiter.admit(x));
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(limiter.admit(x).verdict()); });
}
BENCHMARK(BM_Shed_FullPool)->Arg(1);

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// Permits and whole admissions beside their floors and a rival, with one process and with two.
//
// Measures  taking and giving back a permit, beside a pair of compare-exchanges on a cache line of its own;
//           an admission and its release over rates and permits, global and per user, beside (clock + one
//           compare-exchange); SysV semop with SEM_UNDO, which is how Semian survives a killed worker. The
//           argument is the number of processes that do it at once.
// Not       tables larger than the cache, waiting, or more processes than processors.

#include <array>
#include <atomic>
#include <benchmark/benchmark.h>
#include <stdexcept>
#include <string>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "neighbour.hpp"
#include "primitives/permits.hpp"

namespace weir {
namespace {

using detail::Owner;
using detail::Permits;
using detail::Word;

struct alignas(64) Line {
  std::atomic<std::uint64_t> word{0};
};

// Runs `work` in this process and in others: the argument is how many they are in all.
template <class Work>
void measure(benchmark::State& state, Work&& work) {
  const Neighbours neighbours(static_cast<int>(state.range(0)) - 1, work);
  for (auto _ : state) work();
}

void BM_Floor_ExchangePair(benchmark::State& state) {
  Shared<Line> line;
  measure(state, [&] {
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
  measure(state, [&] { benchmark::DoNotOptimize(permits.give_back(permits.take(owner, 64, 1, 0, 12345))); });
}
BENCHMARK(BM_Permit_TakeAndGive)->Arg(1);

void BM_Rival_SemopWithUndo(benchmark::State& state) {
  const int semaphore = ::semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
  sembuf give{0, 1, 0};
  for (int i = 0; i < 64; ++i) ::semop(semaphore, &give, 1);
  measure(state, [&] {
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
  measure(state, [&] {
    const auto now = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count());
    std::uint64_t seen = line->word.load(std::memory_order_relaxed);
    benchmark::DoNotOptimize(line->word.compare_exchange_strong(seen, now, std::memory_order_relaxed));
  });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Arg(1)->Arg(2);

Limiter limiter_with(const std::string& toml) {
  auto config = parse_config(toml, "bench");
  if (!config) throw std::runtime_error(config.error().message());
  auto limiter = Limiter::open_private(*config);
  if (!limiter) throw std::runtime_error(limiter.error().message());
  return std::move(*limiter);
}

constexpr const char* kRateAndPermits = "rate = \"10000000/s burst 1000000000\"\nconcurrent = 64\n";

// A rate and permits for the operation, and a rate and permits for each of 1,000 users.
void BM_AdmitAndRelease_RateAndPermits_1000Users(benchmark::State& state) {
  Limiter limiter =
      limiter_with(std::string("[segment]\nusers = 1000\n[operations.x]\n") + kRateAndPermits +
                   "[operations.x.user]\nrate = \"10000000/s burst 1000000000\"\nconcurrent = 4\n");
  const Operation x = *limiter.operation("x");
  std::vector<std::string> users;
  for (int i = 0; i < 1000; ++i) users.push_back("user-" + std::to_string(i * 7919 % 1000));
  std::size_t next = static_cast<std::size_t>(::getpid());
  measure(state, [&] {
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
  measure(state, [&] { benchmark::DoNotOptimize(limiter.admit(x).verdict()); });
}
BENCHMARK(BM_Shed_FullPool)->Arg(1);

}  // namespace
}  // namespace weir

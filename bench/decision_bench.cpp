// SPDX-License-Identifier: Apache-2.0

// A whole decision over five limits and a breaker, beside its floor and beside one robust mutex.
//
// Measures  admit and release over: global rate, operation rate, user rate, permits of the operation and of
//           each user, with the breaker closed. The arguments are the numbers of users and of processes at
//           once. The rival does the same with plain words under one robust process-shared mutex, which is
//           locked once to admit and once to release.
//           With more processes than processors compare real times: a process that waits for the mutex takes no CPU time.
// Not       refusals, waiting.

#include <algorithm>
#include <atomic>
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "weir/clock.hpp"
#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "base/hash.hpp"
#include "neighbour.hpp"
#include "primitives/token_bucket.hpp"

namespace weir {
namespace {

template <class Work>
void measure(benchmark::State& state, Work&& work) {
  const Neighbours neighbours(static_cast<int>(state.range(1)) - 1, work);
  for (auto _ : state) work();
}

std::vector<std::string> user_names(std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) names.push_back("user-" + std::to_string(i * 7919 % count));
  return names;
}

struct alignas(64) Line {
  std::atomic<std::uint64_t> word{0};
};

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Shared<Line> line;
  measure(state, [&] {
    const auto now = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count());
    std::uint64_t seen = line->word.load(std::memory_order_relaxed);
    benchmark::DoNotOptimize(line->word.compare_exchange_strong(seen, now, std::memory_order_relaxed));
  });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Args({1, 1})->Args({1, 2});

void BM_Decision(benchmark::State& state) {
  auto config = parse_config(R"(
[global]
rate = "10000000/s burst 1000000000"
[operations.x]
rate = "10000000/s burst 1000000000"
concurrent = 64
breaker = { failures = 5, recovery = "30s" }
[operations.x.user]
rate = "10000000/s burst 1000000000"
concurrent = 4
)",
                             "bench");
  if (!config) throw std::runtime_error(config.error().message());
  config->segment.users = static_cast<std::uint64_t>(state.range(0));
  auto limiter = Limiter::open_private(*config);
  if (!limiter) throw std::runtime_error(limiter.error().message());
  const Operation x = *limiter->operation("x");
  const std::vector<std::string> users = user_names(state.range(0));
  for (const std::string& user : users) (void)limiter->admit(x, {.user = user});
  std::size_t next = static_cast<std::size_t>(::getpid()) % users.size();
  measure(state, [&] {
    next = next + 1 < users.size() ? next + 1 : 0;
    Admission admission = limiter->admit(x, {.user = users[next]});
    benchmark::DoNotOptimize(admission.verdict());
    admission.succeed();
  });
}
BENCHMARK(BM_Decision)
    ->Args({1'000, 1})
    ->Args({1'000, 2})
    ->Args({1'000, 8})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 2});

// All words that the decision needs, as plain numbers under the mutex.
struct Books {
  pthread_mutex_t mutex;
  std::uint64_t global_tat;
  std::uint64_t operation_tat;
  std::uint32_t in_use;
  std::uint32_t failures;
  struct User {
    std::uint64_t tag;
    std::uint64_t tat;
    std::uint32_t held;
  };
  User users[std::size_t{1} << 21];
};

void BM_Rival_OneRobustMutex(benchmark::State& state) {
  Shared<Books> books;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&books->mutex, &attributes);
  const auto lock = [&] {
    if (pthread_mutex_lock(&books->mutex) == EOWNERDEAD) pthread_mutex_consistent(&books->mutex);
  };
  const detail::KeyHasher hasher({1, 2});
  const std::vector<std::string> users = user_names(state.range(0));
  const detail::TokenBucketParams wide{13, 1'000'000'000};
  std::size_t next = static_cast<std::size_t>(::getpid()) % users.size();
  measure(state, [&] {
    next = next + 1 < users.size() ? next + 1 : 0;
    const detail::Hash128 hash = hasher(users[next]);
    std::size_t at = hash.low % std::size(books->users);
    __builtin_prefetch(&books->users[at], 1);
    const auto now = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count()) << 7;
    lock();
    while (books->users[at].tag != 0 && books->users[at].tag != hash.high)
      at = (at + 1) % std::size(books->users);
    Books::User& user = books->users[at];
    user.tag = hash.high;
    const detail::gcra::Judgement global = detail::gcra::judge(wide, books->global_tat, now, 1);
    const detail::gcra::Judgement operation = detail::gcra::judge(wide, books->operation_tat, now, 1);
    const detail::gcra::Judgement of_user = detail::gcra::judge(wide, user.tat, now, 1);
    const bool admitted = books->failures < 5 && books->in_use < 64 && user.held < 4 && global.wait == 0 &&
                          operation.wait == 0 && of_user.wait == 0;
    if (admitted) {
      books->global_tat = global.charged;
      books->operation_tat = operation.charged;
      user.tat = of_user.charged;
      ++books->in_use, ++user.held;
    }
    pthread_mutex_unlock(&books->mutex);
    benchmark::DoNotOptimize(admitted);
    lock();
    if (admitted) --books->in_use, --user.held;
    pthread_mutex_unlock(&books->mutex);
  });
}
BENCHMARK(BM_Rival_OneRobustMutex)
    ->Args({1'000, 1})
    ->Args({1'000, 2})
    ->Args({1'000, 8})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 2});

}  // namespace
}  // namespace weir

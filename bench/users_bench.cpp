// SPDX-License-Identifier: Apache-2.0

// A rate for each of many users, through the user table, beside its floors and two rivals.
//
// Measures  hash, clock, look and charge as an admission does them: 1,000, 1 million and 10 million users,
//           all of them known, in an order that no cache can predict; with one process and with two.
//           Floor_Exchange    clock + one compare-exchange on one line
//           Floor_Probe       clock + one compare-exchange at random in an array of the table's size
//           Mutex             one robust process-shared mutex around a flat table
//           NginxShape        spin lock + red-black tree + queue by recency, 128 bytes per node
//           NewUser           a user who was never seen, for whom a user at rest is forgotten
//           ForEach           what an inspector does: it looks once at every entry
// Not       whole admissions (admission_bench), huge pages, or more processes than processors.
//
// The arguments are the numbers of users and of processes.

#include <benchmark/benchmark.h>
#include <string_view>

#include "weir/clock.hpp"

#include "neighbour.hpp"
#include "rivals/mutex_table.hpp"
#include "rivals/nginx_shape.hpp"
#include "users/table.hpp"

namespace weir {
namespace {

using detail::Hash128;
using detail::KeyHasher;
using detail::PairWord;
using detail::TokenBucketParams;
using detail::UserBucket;
using detail::UserKey;
using detail::UserLimit;
using detail::UserTable;
using detail::UserTableCounters;
using detail::Word;

constexpr TokenBucketParams kNeverRefuses{128, 1'000'000'000};
constexpr UserLimit kLimit{1};

std::uint64_t ticks_now() {
  return detail::ticks_from_ns(static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count()));
}

struct Spend {
  std::uint64_t now;
  bool may_evict = false;
  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t tat) const noexcept {
    const detail::gcra::Judgement judged = detail::gcra::judge(kNeverRefuses, tat, now, 1);
    return judged.wait == 0 ? std::optional(judged.charged) : std::nullopt;
  }
  static std::uint64_t never_seen(std::uint64_t forgotten) noexcept { return forgotten; }
  [[nodiscard]] std::uint64_t debt(UserLimit /*limit*/, std::uint64_t tat) const noexcept {
    return detail::gcra::debt(tat, now);
  }
};

/// The users' names, one after the other in an order of its own. They are made on the way, because a list of
/// ten million strings would affect the measurement.
class Names {
 public:
  explicit Names(std::uint64_t users)
      : users_(users), next_(static_cast<std::uint64_t>(::getpid()) % users) {}

  std::string_view next() noexcept {
    next_ += kStep % users_;
    if (next_ >= users_) next_ -= users_;
    name_.number = next_;
    return {reinterpret_cast<const char*>(&name_), sizeof(name_)};
  }

 private:
  static constexpr std::uint64_t kStep = 7'368'787;  // a prime, so that all users are met
  struct {
    char prefix[8] = {'u', 's', 'e', 'r', '-', 'i', 'd', ':'};
    std::uint64_t number = 0;
  } name_;
  std::uint64_t users_;
  std::uint64_t next_;
};

std::uint64_t users_of(const benchmark::State& state) {
  return static_cast<std::uint64_t>(state.range(0));
}

// `request` is called once for each user, and is then measured.
template <class Request>
void measure(benchmark::State& state, Request&& request) {
  Names names(users_of(state));
  for (std::uint64_t i = 0; i < users_of(state); ++i) request(names);
  weir::measure(state, state.range(1), [&] { request(names); });
}

void every_size(benchmark::internal::Benchmark* it) {
  for (const std::int64_t processes : {1, 2}) {
    for (const std::int64_t users : {1'000, 1'000'000, 10'000'000}) it->Args({users, processes});
  }
}

void BM_UserTable(benchmark::State& state) {
  const SharedArray<UserBucket> buckets(UserTable::buckets_for(users_of(state) * 4 / 3 + 1));
  Shared<UserTableCounters> counters;
  UserTable table(buckets.get(), &*counters);
  const KeyHasher hasher({1, 2});
  measure(state, [&](Names& names) {
    const UserKey key = table.key(hasher(names.next()));
    table.prefetch(key);
    const Spend change{ticks_now()};
    const UserTable::Found found = table.find(key, kLimit);
    const detail::gcra::Judgement judged = detail::gcra::judge(kNeverRefuses, found.state, change.now, 1);
    if (judged.wait != 0) return;
    if (!UserTable::exchange(found, judged.charged))
      benchmark::DoNotOptimize(table.update(key, kLimit, change));
  });
}
BENCHMARK(BM_UserTable)->Apply(every_size);

void BM_Floor_Exchange(benchmark::State& state) {
  Shared<UserBucket> line;
  Word& word = *reinterpret_cast<Word*>(&line->entries[0]);
  measure(state, [&](Names&) {
    const std::uint64_t now = ticks_now();
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    benchmark::DoNotOptimize(word.compare_exchange(seen, now, std::memory_order_relaxed));
  });
}
BENCHMARK(BM_Floor_Exchange)->Args({1, 1})->Args({1, 2});

void BM_Floor_Probe(benchmark::State& state) {
  const SharedArray<Word> words(UserTable::buckets_for(users_of(state) * 4 / 3 + 1) * sizeof(UserBucket) /
                                sizeof(Word));
  std::uint64_t random = 88'172'645'463'325'252;
  measure(state, [&](Names&) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    Word& word = words.get()[detail::scaled(random, words.get().size())];
    const std::uint64_t now = ticks_now();
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    benchmark::DoNotOptimize(word.compare_exchange(seen, now, std::memory_order_relaxed));
  });
}
BENCHMARK(BM_Floor_Probe)->Apply(every_size);

void BM_Rival_Mutex(benchmark::State& state) {
  const SharedArray<rivals::MutexTable::Entry> entries(users_of(state) * 4 / 3 + 1);
  Shared<rivals::MutexTable> table(entries.get());
  const KeyHasher hasher({1, 2});
  measure(state, [&](Names& names) {
    const Hash128 user = hasher(names.next());
    table->prefetch(user);
    benchmark::DoNotOptimize(table->admit(user, kNeverRefuses, ticks_now()));
  });
}
BENCHMARK(BM_Rival_Mutex)->Apply(every_size);

void BM_Rival_NginxShape(benchmark::State& state) {
  const SharedArray<rivals::NginxNode> nodes(users_of(state));
  for (rivals::NginxNode& node : nodes.get()) std::construct_at(&node);
  Shared<rivals::NginxShape> zone(nodes.get());
  const KeyHasher hasher({1, 2});
  measure(state, [&](Names& names) {
    const std::string_view name = names.next();
    benchmark::DoNotOptimize(zone->admit(name, hasher(name).low, kNeverRefuses, ticks_now()));
  });
}
BENCHMARK(BM_Rival_NginxShape)
    ->Args({1'000, 1})
    ->Args({1'000'000, 1})
    ->Args({1'000, 2})
    ->Args({1'000'000, 2});

void BM_NewUser(benchmark::State& state) {
  const std::uint64_t users = users_of(state);
  const SharedArray<UserBucket> buckets(UserTable::buckets_for(users * 4 / 3 + 1));
  Shared<UserTableCounters> counters;
  UserTable table(buckets.get(), &*counters);
  const KeyHasher hasher({1, 2});
  std::uint64_t next = 0;
  const auto come = [&] {
    ++next;
    const UserKey key = table.key(hasher({reinterpret_cast<const char*>(&next), sizeof(next)}));
    table.prefetch(key);
    benchmark::DoNotOptimize(table.update(key, kLimit, Spend{ticks_now()}));
  };
  for (std::uint64_t i = 0; i < 2 * users; ++i) come();
  for (auto _ : state) come();
}
BENCHMARK(BM_NewUser)->Arg(1'000)->Arg(1'000'000);

void BM_ForEach(benchmark::State& state) {
  const std::uint64_t users = users_of(state);
  const SharedArray<UserBucket> buckets(UserTable::buckets_for(users * 4 / 3 + 1));
  Shared<UserTableCounters> counters;
  UserTable table(buckets.get(), &*counters);
  const KeyHasher hasher({1, 2});
  Names names(users);
  for (std::uint64_t i = 0; i < users; ++i) table.update(table.key(hasher(names.next())), kLimit, Spend{1});
  for (auto _ : state) {
    std::uint64_t entries = 0;
    UserTable::for_each(buckets.get(), [&](UserLimit, std::uint64_t) { ++entries; });
    benchmark::DoNotOptimize(entries);
  }
}
BENCHMARK(BM_ForEach)->Arg(10'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "users/table.hpp"

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace weir::detail {
namespace {

// A limit whose state is the time until which the user owes: the simplest thing that a table can hold.
struct OwesUntil {
  std::uint64_t now;
  std::uint64_t until;
  bool may_evict = true;
  std::optional<std::uint64_t> next(std::uint64_t state) const noexcept {
    if (state >= until) return std::nullopt;
    return until;
  }
  static std::uint64_t never_seen(std::uint64_t forgotten) noexcept { return forgotten; }
  std::uint64_t debt(UserLimit /*limit*/, std::uint64_t state) const noexcept {
    return state > now ? state - now : 0;
  }
};

constexpr UserLimit kRate{1};
constexpr UserLimit kOther{2};

class Table : public ::testing::Test {
 protected:
  static constexpr std::size_t kBuckets = 64;

  UserKey key(int user) const { return table.key(hasher(std::to_string(user))); }
  UserTable::Outcome owe(int user, std::uint64_t now, std::uint64_t until, bool may_evict = true) {
    return table.update(key(user), kRate, OwesUntil{now, until, may_evict});
  }
  std::uint64_t state(int user) const { return table.find(key(user), kRate).state; }
  bool knows(int user) const { return table.find(key(user), kRate).entry != nullptr; }
  void fill_with_debtors(std::uint64_t now, std::uint64_t until) {
    for (int user = 0; owe(user, now, until, false) != UserTable::Outcome::full || user < 5000; ++user) {
    }
  }

  KeyHasher hasher{{1, 2}};
  std::unique_ptr<UserBucket[]> buckets = std::make_unique<UserBucket[]>(kBuckets);
  UserTableCounters counters;
  UserTable table{std::span(buckets.get(), kBuckets), &counters};
};

TEST_F(Table, RemembersWhatAUserOwesUnderEachLimit) {
  ASSERT_EQ(table.update(key(1), kRate, OwesUntil{10, 20}), UserTable::Outcome::changed);
  ASSERT_EQ(table.update(key(1), kOther, OwesUntil{10, 30}), UserTable::Outcome::changed);
  EXPECT_EQ(table.find(key(1), kRate).state, 20U);
  EXPECT_EQ(table.find(key(1), kOther).state, 30U);
  EXPECT_EQ(table.find(key(2), kRate).entry, nullptr);
}

TEST_F(Table, TakesAnEmptyEntryWithALeftOverState) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    for (PairWord& entry : buckets[i].entries) {
      Pair empty;
      ASSERT_TRUE(entry.compare_exchange(empty, {0, 1}));
    }
  }
  EXPECT_EQ(owe(1, 10, 20), UserTable::Outcome::changed);
  EXPECT_EQ(state(1), 20U);
}

TEST_F(Table, WritesNothingWhenTheChangeDeclines) {
  EXPECT_EQ(owe(1, 10, 0), UserTable::Outcome::declined);
  EXPECT_FALSE(knows(1));
  EXPECT_EQ(counters.tickets.load(std::memory_order_relaxed), 0U);
}

TEST_F(Table, ExchangesOnlyWhatALookFound) {
  EXPECT_FALSE(table.exchange(table.find(key(1), kRate), 20));  // there is no entry
  ASSERT_EQ(owe(1, 10, 20), UserTable::Outcome::changed);
  const auto met = table.find(key(1), kRate);
  ASSERT_TRUE(table.exchange(met, 25));
  EXPECT_EQ(state(1), 25U);
  EXPECT_FALSE(table.exchange(met, 30));  // out of date
  const auto as_it_was = [&](int user, std::uint64_t state) {
    return table.as_it_was(table.number_of(met.entry), hasher(std::to_string(user)), kRate, state);
  };
  EXPECT_FALSE(table.exchange(as_it_was(2, 25), 30));  // the entry of another user
  EXPECT_EQ(state(1), 25U);
  EXPECT_TRUE(table.exchange(as_it_was(1, 25), 30));
  EXPECT_EQ(state(1), 30U);
}

TEST_F(Table, ForgetsOnlyUsersAtRestWhileThereAreAny) {
  for (int user = 0; user < 100; ++user) ASSERT_EQ(owe(user, 10, 1'000'000), UserTable::Outcome::changed);
  for (int user = 1000; user < 100'000; ++user) {  // one-shot users, each at rest before the next
    const auto now = static_cast<std::uint64_t>(user);
    ASSERT_EQ(owe(user, now, now + 1), UserTable::Outcome::changed);
  }
  for (int user = 0; user < 100; ++user) EXPECT_EQ(state(user), 1'000'000U) << user;
  EXPECT_EQ(counters.evicted.load(std::memory_order_relaxed), 0U);
}

TEST_F(Table, RefusesANewUserWhenAllUsersOweIfThePolicySaysSo) {
  fill_with_debtors(10, 1000);
  EXPECT_EQ(owe(1'000'000, 10, 1000, false), UserTable::Outcome::full);
  EXPECT_EQ(counters.evicted.load(std::memory_order_relaxed), 0U);
  EXPECT_EQ(owe(1'000'000, 2000, 3000, false), UserTable::Outcome::changed) << "all users are at rest by now";
}

TEST_F(Table, EvictsTheUserNearestToRestAndCountsIt) {
  fill_with_debtors(10, 1000);
  const UserKey newcomer = key(1'000'000);
  PairWord& nearest = buckets[newcomer.home].entries[5];
  Pair seen{nearest.load_first(std::memory_order_relaxed), nearest.load_second(std::memory_order_relaxed)};
  ASSERT_TRUE(nearest.compare_exchange(seen, {seen.first, 500}));
  ASSERT_EQ(owe(1'000'000, 10, 1000, true), UserTable::Outcome::changed);
  EXPECT_EQ(counters.evicted.load(std::memory_order_relaxed), 1U);
  EXPECT_EQ(table.find(newcomer, kRate).entry, &nearest);
}

TEST_F(Table, LooksElsewhereWhenTheHomeBucketIsCrowded) {
  const UserKey crowd = key(1);
  for (std::uint16_t limit = 1; limit <= 30; ++limit) {  // 30 entries with one home bucket
    ASSERT_EQ(table.update(crowd, {limit}, OwesUntil{10, 20U + limit, false}), UserTable::Outcome::changed);
  }
  for (std::uint16_t limit = 1; limit <= 30; ++limit)
    EXPECT_EQ(table.find(crowd, {limit}).state, 20U + limit);
}

TEST_F(Table, ForgetsNoUserAtRestWhileAnEntryIsEmpty) {
  for (int user = 0; user < 8 * int{kBuckets} * 3 / 4; ++user) owe(user, 10, 20);
  for (int user = 0; user < 8 * int{kBuckets} * 3 / 4; ++user) EXPECT_TRUE(knows(user)) << user;
  EXPECT_EQ(counters.forgotten.load(std::memory_order_relaxed), 0U);
}

TEST_F(Table, KeepsApartTheLargestIdsAndParts) {
  constexpr std::array<UserLimit, 4> limits{{{16'383, 15}, {16'383, 0}, {1, 15}, {8'192, 0}}};
  for (std::size_t i = 0; i < limits.size(); ++i)
    ASSERT_EQ(table.update(key(1), limits[i], OwesUntil{10, 20 + i}), UserTable::Outcome::changed);
  std::map<std::pair<int, int>, std::uint64_t> seen;
  UserTable::for_each(std::span(buckets.get(), kBuckets), [&](UserLimit limit, std::uint64_t state) {
    seen[{limit.id, limit.part}] = state;
  });
  for (std::size_t i = 0; i < limits.size(); ++i) {
    EXPECT_EQ(table.find(key(1), limits[i]).state, 20 + i);
    EXPECT_EQ((seen[{limits[i].id, limits[i].part}]), 20 + i);
  }
}

TEST_F(Table, AForgottenUserIsNotAtRestBeforeItsTime) {
  ASSERT_EQ(owe(1, 10, 100), UserTable::Outcome::changed);
  for (int user = 1000; knows(1); ++user)
    owe(user, 200, 5000, false);  // at 200 user 1 is at rest, and is forgotten
  // A worker that read the clock at 50 and was stopped since then must not treat user 1 as new at 50.
  EXPECT_EQ(table.update(key(1), kRate, OwesUntil{50, 150, true}), UserTable::Outcome::declined);
}

TEST_F(Table, CompletesAReservationThatADeadWorkerLeft) {
  const UserKey mine = key(1);
  const std::uint64_t reserved = (std::uint64_t{1} << 63) | (std::uint64_t{1} << 49) | mine.tag_hash;
  Pair empty;
  ASSERT_TRUE(buckets[mine.home].entries[3].compare_exchange(empty, {reserved, 7}));
  ASSERT_EQ(owe(1, 10, 20), UserTable::Outcome::changed);
  EXPECT_EQ(table.find(mine, kRate).entry, &buckets[mine.home].entries[3]);
}

TEST_F(Table, ResolvesTwoReservationsOfOneKeyToOneEntry) {
  UserTable small{std::span(buckets.get(), 2), &counters};  // both buckets belong to every key
  const UserKey mine = small.key(hasher("1"));
  const std::uint64_t reserved = (std::uint64_t{1} << 63) | (std::uint64_t{1} << 49) | mine.tag_hash;
  Pair empty;
  ASSERT_TRUE(buckets[1].entries[0].compare_exchange(empty, {reserved, 8}));
  empty = {};
  ASSERT_TRUE(buckets[0].entries[6].compare_exchange(empty, {reserved, 7}));
  ASSERT_EQ(small.update(mine, kRate, OwesUntil{10, 20}), UserTable::Outcome::changed);
  int entries = 0;
  UserTable::for_each(std::span(buckets.get(), 2), [&](UserLimit, std::uint64_t) { ++entries; });
  EXPECT_EQ(entries, 1);
  EXPECT_EQ(buckets[1].entries[0].load_first(std::memory_order_relaxed), 0U);
}

TEST_F(Table, AnswersLikeAMapWhileNoUserIsForgotten) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::map<int, std::uint64_t> model;
  std::uint64_t now = 1;
  for (int step = 0; step < 100'000; ++step) {
    now += random() % 3;
    const int user = static_cast<int>(random() % 150);
    const std::uint64_t until = now + random() % 50;
    std::uint64_t& known = model[user];
    if (known <= now) known = 0;  // at rest: the table may still know it or not
    const auto outcome = table.update(key(user), kRate, OwesUntil{now, until, false});
    if (until > now) {
      ASSERT_EQ(outcome == UserTable::Outcome::changed, known < until) << step;
    }
    if (outcome == UserTable::Outcome::changed) known = until;
  }
}

TEST_F(Table, StaysInBoundsAndFinishesOverAnyBytes) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    auto* words = reinterpret_cast<std::uint64_t*>(buckets.get());
    for (std::size_t i = 0; i < kBuckets * sizeof(UserBucket) / 8; ++i) words[i] = random();
    for (int user = 0; user < 100; ++user) owe(user, 1000, 2000, round % 2 == 0);
    UserTable::modify_all(std::span(buckets.get(), kBuckets),
                          [](UserLimit, std::uint64_t) { return std::optional<std::uint64_t>(0); });
  }
}

}  // namespace
}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0

// A user table is compared with a map that never forgets, under random traffic that makes the table forget.

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "users/table.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kUsers = 100'000;
constexpr UserLimit kLimit{1};

// A token bucket in a word, written in the obvious way.
std::optional<std::uint64_t> spent(std::uint64_t tat, std::uint64_t now, std::uint64_t interval) {
  constexpr std::uint64_t kBurst = 3;
  const std::uint64_t next = std::max(tat, now) + interval;
  return next > now + interval * kBurst ? std::nullopt : std::optional(next);
}

struct Spend {
  std::uint64_t now;
  std::uint64_t interval;
  bool may_evict;
  std::optional<std::uint64_t> next(std::uint64_t tat) const { return spent(tat, now, interval); }
  static std::uint64_t never_seen(std::uint64_t forgotten) { return forgotten; }
  std::uint64_t debt(UserLimit /*limit*/, std::uint64_t tat) const { return tat > now ? tat - now : 0; }
};

struct Result {
  std::uint64_t differing = 0;  // decisions
  std::uint64_t forgiven = 0;   // users who came back while they owed something, and were not known
  std::uint64_t full = 0;
  std::uint64_t evicted = 0;
};

// Two million requests, one per tick. A user earns a token in `interval` ticks or more.
Result run(std::uint64_t entries, std::uint64_t interval, bool may_evict, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const KeyHasher hasher({seed, 1});
  std::vector<UserBucket> buckets(UserTable::buckets_for(entries));
  UserTableCounters counters;
  UserTable table(buckets, &counters);
  std::unordered_map<std::uint64_t, std::uint64_t> model;
  Result result;
  for (std::uint64_t now = 1; now < 2'000'000; ++now) {
    // Some users come often, most rarely.
    const std::uint64_t user = random() % (random() % kUsers + 1);
    const UserKey key = table.key(hasher(std::to_string(user)));
    std::uint64_t& tat = model[user];
    if (tat > now && table.find(key, kLimit).entry == nullptr) {
      ++result.forgiven;
      tat = 0;
    }
    const std::uint64_t user_interval = interval + user % 7;
    const auto expected = spent(tat, now, user_interval);
    switch (table.update(key, kLimit, Spend{now, user_interval, may_evict})) {
      case UserTable::Outcome::changed:
        result.differing += expected ? 0 : 1;
        if (expected) tat = *expected;
        break;
      case UserTable::Outcome::declined:
        result.differing += expected ? 1 : 0;
        break;
      case UserTable::Outcome::full:
        ++result.full;
        break;
    }
  }
  result.evicted = counters.evicted.load(std::memory_order_relaxed);
  return result;
}

class Oracle : public ::testing::Test {
 protected:
  std::uint64_t seed = std::random_device{}();
  ::testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
};

// There are 20,000 entries for 100,000 users, of whom about 8,000 owe something: all the others are forgotten
// many times, and no decision shows it.
TEST_F(Oracle, ForgettingUsersAtRestChangesNoDecision) {
  const Result result = run(20'000, 5'000, false, seed);
  EXPECT_EQ(result.differing, 0U);
  EXPECT_EQ(result.forgiven, 0U);
  EXPECT_EQ(result.full, 0U);
}

TEST_F(Oracle, EvictionForgivesNoMoreThanItCountsAndChangesNoOtherDecision) {
  const Result result = run(20'000, 200'000, true, seed);
  EXPECT_EQ(result.differing, 0U);
  EXPECT_EQ(result.full, 0U);
  EXPECT_GT(result.forgiven, 0U) << "the test does not test what it says";
  EXPECT_LE(result.forgiven, result.evicted);
}

TEST_F(Oracle, RefusingNewUsersForgivesNoDebt) {
  const Result result = run(20'000, 200'000, false, seed);
  EXPECT_EQ(result.differing, 0U);
  EXPECT_EQ(result.forgiven, 0U);
  EXPECT_EQ(result.evicted, 0U);
  EXPECT_GT(result.full, 0U) << "the test does not test what it says";
}

}  // namespace
}  // namespace weir::detail

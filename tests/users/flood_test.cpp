// SPDX-License-Identifier: Apache-2.0

// What a user table promises under a flood of new users: a limited user stays limited, and no request is
// refused for lack of an entry while active users keep less than three quarters of all entries.
//
// WEIR_FLOOD=50000000 in the environment makes the flood longer.

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "users/table.hpp"

namespace weir::detail {
namespace {

// Spends one token of a bucket that holds `burst` tokens and earns one each `interval`: GCRA in its shortest
// form.
struct Spend {
  std::uint64_t now;
  std::uint64_t interval;
  std::uint64_t burst = 1;
  bool may_evict = false;
  std::optional<std::uint64_t> next(std::uint64_t tat) const noexcept {
    const std::uint64_t charged = std::max(tat, now) + interval;
    if (charged > now + interval * burst) return std::nullopt;
    return charged;
  }
  static std::uint64_t never_seen(std::uint64_t forgotten) noexcept { return forgotten; }
  std::uint64_t debt(UserLimit /*limit*/, std::uint64_t tat) const noexcept {
    return tat > now ? tat - now : 0;
  }
};

class Flood : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kForever = std::uint64_t{1} << 50;

  void make(std::uint64_t entries) {
    buckets = std::vector<UserBucket>(UserTable::buckets_for(entries));
    table = UserTable(buckets, &counters);
  }
  UserKey key(std::uint64_t user) const { return table.key(hasher(std::to_string(user))); }
  std::uint64_t refused() const { return refused_; }
  void charge(std::uint64_t user, std::uint64_t entries, std::uint64_t now, std::uint64_t debt) {
    for (std::uint64_t limit = 1; limit <= entries; ++limit) {
      const auto outcome = table.update(key(user), {static_cast<std::uint16_t>(limit)}, Spend{now, debt});
      refused_ += outcome == UserTable::Outcome::full ? 1 : 0;
    }
  }
  void bring_to_rest(std::uint64_t user, std::uint64_t entries) {
    for (std::uint64_t limit = 1; limit <= entries; ++limit) {
      table.modify(key(user), {static_cast<std::uint16_t>(limit)}, nullptr,
                   [](std::uint64_t) { return std::optional<std::uint64_t>(0); });
    }
  }
  static std::uint64_t length() {
    const char* length = std::getenv("WEIR_FLOOD");
    return length == nullptr ? 2'000'000 : std::strtoull(length, nullptr, 10);
  }

  KeyHasher hasher{{1, 2}};
  std::vector<UserBucket> buckets;
  UserTableCounters counters;
  UserTable table;
  std::uint64_t refused_ = 0;
};

// The worst case that the promise allows: exactly three quarters owe something, users who come to rest are
// replaced at once, and between any two of them a user comes who is never seen again.
class ActiveUsers : public Flood, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(ActiveUsers, AreNeverRefusedAnEntryWhileTheyOweThreeQuartersOfTheTable) {
  const std::uint64_t entries = GetParam();
  const std::uint64_t users = 300'000 / entries;
  make(users * entries * 4 / 3 + 1);
  std::mt19937_64 random(entries);
  std::vector<std::uint64_t> active(users);
  std::uint64_t next = 0;
  for (std::uint64_t& user : active) charge(user = next++, entries, 10, kForever);
  for (std::uint64_t change = 0; change < 3 * users; ++change) {
    std::uint64_t& user = active[random() % users];
    bring_to_rest(user, entries);
    charge(user = next++, entries, 10, kForever);
    charge(next++, 1, 10, 0);
  }
  EXPECT_EQ(refused(), 0U);
  EXPECT_EQ(counters.evicted.load(std::memory_order_relaxed), 0U);
  for (const std::uint64_t user : active) EXPECT_EQ(table.find(key(user), {1}).state, 10 + kForever) << user;
}
INSTANTIATE_TEST_SUITE_P(EntriesAUser, ActiveUsers, ::testing::Values(1, 2, 4, 8));

// There are abusers who owe for a long time, and a flood of keys that come once: at most a thousand of these
// owe something at any moment.
TEST_F(Flood, ForgivesNoAbuserAndRefusesNoUserWithinTheLimits) {
  constexpr std::uint64_t kAbusers = 1000;
  make(1'000'000 * 4 / 3);
  std::vector<std::uint64_t> owed;
  for (std::uint64_t abuser = 0; abuser < kAbusers; ++abuser) {
    charge(abuser, 1, 10, kForever + abuser);
    owed.push_back(table.find(key(abuser), {1}).state);
  }
  std::uint64_t forgiven = 0;
  for (std::uint64_t i = 0; i < length(); ++i) {
    const std::uint64_t now = 100 + i;
    charge(kAbusers + i, 1, now, 1000);
    if (i % 64 != 0) continue;
    const std::uint64_t abuser = i / 64 % kAbusers;
    const auto outcome = table.update(key(abuser), {1}, Spend{now, kForever + abuser});
    forgiven += outcome == UserTable::Outcome::declined ? 0 : 1;
  }
  EXPECT_EQ(forgiven, 0U);
  EXPECT_EQ(refused(), 0U);
  EXPECT_EQ(counters.evicted.load(std::memory_order_relaxed), 0U);
  for (std::uint64_t abuser = 0; abuser < kAbusers; ++abuser)
    EXPECT_EQ(table.find(key(abuser), {1}).state, owed[abuser]) << abuser;
}

// More users owe something than there are entries: the policy decides what happens, and it is counted.
TEST_F(Flood, BeyondTheTableNewUsersAreRefusedOrTheLeastDebtForgivenAndEachIsCounted) {
  constexpr std::uint64_t kAbusers = 1000;
  constexpr std::uint64_t kUsers = 200'000;
  for (const bool may_evict : {false, true}) {
    make(100'000);
    counters.evicted.store(0, std::memory_order_relaxed);
    for (std::uint64_t abuser = 0; abuser < kAbusers; ++abuser) charge(abuser, 1, 10, 2 * kForever);
    std::uint64_t full = 0;
    for (std::uint64_t user = kAbusers; user < kUsers; ++user) {
      const auto outcome = table.update(key(user), {1}, Spend{10, kForever + user, 1, may_evict});
      full += outcome == UserTable::Outcome::full ? 1 : 0;
    }
    std::uint64_t known = 0;
    UserTable::for_each(buckets, [&](UserLimit, std::uint64_t) { ++known; });
    const std::uint64_t evicted = counters.evicted.load(std::memory_order_relaxed);
    EXPECT_EQ(known + full + evicted, kUsers);
    EXPECT_EQ(may_evict ? full : evicted, 0U);
    EXPECT_GT(known, 99'000U) << "of 100,000 entries";
    for (std::uint64_t abuser = 0; abuser < kAbusers; ++abuser)
      EXPECT_EQ(table.find(key(abuser), {1}).state, 10 + 2 * kForever) << abuser;
  }
}

// The keys are chosen, but without the segment's secret an attacker cannot crowd a bucket.
class ChosenKeys : public Flood {
 protected:
  static constexpr std::size_t kBuckets = 4096;

  // A chi-square test over the home buckets: the average is 4,095, the standard deviation 90.
  void expect_spread(const std::vector<std::string>& keys) {
    make(kBuckets * UserBucket::kEntries);
    std::vector<double> load(kBuckets);
    for (const std::string& name : keys) load[table.key(hasher(name)).home] += 1;
    const double expected = static_cast<double>(keys.size()) / kBuckets;
    double chi_square = 0;
    for (const double found : load) chi_square += (found - expected) * (found - expected) / expected;
    EXPECT_LT(chi_square, 4095 + 6 * 90);
    EXPECT_GT(chi_square, 4095 - 6 * 90);
  }
};

TEST_F(ChosenKeys, ThatCrowdABucketUnderAnotherSecretSpreadUnderThisOne) {
  make(kBuckets * UserBucket::kEntries);
  const KeyHasher guessed({3, 4});
  std::vector<std::string> keys;
  for (std::uint64_t i = 0; keys.size() < 5 * kBuckets; ++i) {
    std::string name = std::to_string(i);
    if (table.key(guessed(name)).home < kBuckets / 64) keys.push_back(std::move(name));
  }
  expect_spread(keys);
}

TEST_F(ChosenKeys, AlikeUpTo64KiBOfAnyBytesSpread) {
  std::vector<std::string> keys;
  for (const std::size_t size : {3UL, 16UL, 17UL, 129UL, 241UL, 4096UL, 65'536UL}) {
    const std::uint32_t count = size > 4096 ? 1024 : 4096;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::string name(size, '\0');
      name[0] = static_cast<char>(i);
      name[size / 2] = static_cast<char>(i >> 4);
      name[size - 1] = static_cast<char>(i >> 8);
      keys.push_back(std::move(name));
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  expect_spread(keys);
}

}  // namespace
}  // namespace weir::detail

// What a user table promises under a flood of new users: whoever is limited stays limited, and nobody is
// refused for want of an entry while active users keep under three quarters of all entries.
//
// WEIR_FLOOD=50000000 in the environment makes the flood longer.

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "users/table.hpp"

namespace weir::detail {
namespace {

// Spends one token of a bucket that holds `burst` and earns one each `interval`: GCRA, as short as it gets.
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

// The worst that the promise allows: exactly three quarters owe something, those who come to rest are
// replaced at once, and between any two of them somebody comes who is never seen again.
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

}  // namespace
}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0

// The user table and the names after a worker was killed inside an operation, at each change that it made.

#include <algorithm>
#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"
#include "users/names.hpp"
#include "users/table.hpp"

namespace weir::test {
namespace {

using detail::NameSlot;
using detail::NameTable;
using detail::RememberedName;
using detail::UserBucket;
using detail::UserKey;
using detail::UserLimit;
using detail::UserTable;
using detail::UserTableCounters;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr UserLimit kLimit{1};

// A debt that ends at a given time.
struct Owe {
  std::uint64_t now;
  std::uint64_t amount;
  bool may_evict = false;
  std::optional<std::uint64_t> next(std::uint64_t until) const noexcept {
    return std::max(until, now) + amount;
  }
  static std::uint64_t never_seen(std::uint64_t forgotten) noexcept { return forgotten; }
  std::uint64_t debt(UserLimit /*limit*/, std::uint64_t until) const noexcept {
    return until > now ? until - now : 0;
  }
};

struct Memory {
  std::array<UserBucket, 2> buckets;
  UserTableCounters counters;
  std::array<NameSlot, 1> names;
};

class UsersCrash : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kEntries = 2 * UserBucket::kEntries;

  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }
  UserTable table() { return {memory->buckets, &memory->counters}; }
  static UserKey user(std::uint64_t number) { return {number % 2, number}; }
  void owe(std::uint64_t number, std::uint64_t now, std::uint64_t amount) {
    ASSERT_EQ(table().update(user(number), kLimit, Owe{now, amount}), UserTable::Outcome::changed);
  }
  std::uint64_t debt_of(std::uint64_t number) { return table().find(user(number), kLimit).state; }
  int entries() {
    int count = 0;
    UserTable::for_each(memory->buckets, [&](UserLimit, std::uint64_t) { ++count; });
    return count;
  }
  void kill_everywhere(const std::function<void()>& operation, std::size_t images,
                       const std::function<void(const Image&)>& recover) {
    const CrashImages crash = crash_images(memory.bytes(), operation);
    ASSERT_EQ(crash.error, "");
    EXPECT_THAT(crash.images, SizeIs(images));
    EXPECT_THAT(for_each_image(crash, memory.bytes(), recover), IsEmpty());
  }

  SharedObject<Memory> memory;
};

// Ticket, reservation, live entry: four images with the first.
TEST_F(UsersCrash, KilledInsideAnInsertTheUserIsChargedOnceOrNotAtAll) {
  kill_everywhere([&] { owe(1, 10, 100); }, 4,
                  [&](const Image& image) {
                    EXPECT_TRUE(debt_of(1) == 0 || debt_of(1) == 110) << image.instruction;
                    owe(1, 10, 100);
                    EXPECT_TRUE(debt_of(1) == 110 || debt_of(1) == 210);
                    EXPECT_EQ(entries(), 1);
                  });
}

// Every entry belongs to a user, and one of these is at rest: that user is forgotten, and no other loses
// anything.
TEST_F(UsersCrash, KilledInsideAnEvictionOnlyTheUserAtRestIsForgotten) {
  owe(100, 10, 5);
  for (std::uint64_t other = 1; other < kEntries; ++other) owe(other, 10, 1000);
  kill_everywhere([&] { owe(200, 20, 100); }, 5,
                  [&](const Image& image) {
                    for (std::uint64_t other = 1; other < kEntries; ++other)
                      EXPECT_EQ(debt_of(other), 1010U) << other;
                    owe(200, 20, 100);
                    EXPECT_GE(debt_of(200), 120U) << image.instruction;
                    EXPECT_EQ(table().find(user(100), kLimit).entry, nullptr);
                    EXPECT_EQ(entries(), int{kEntries});
                  });
}

TEST_F(UsersCrash, KilledInsideAnEvictionTheForgottenUserIsNotAdmittedBeforeItsTime) {
  owe(100, 10, 50);
  for (std::uint64_t other = 1; other < kEntries; ++other) owe(other, 10, 1000);
  kill_everywhere([&] { owe(200, 70, 100); }, 5,
                  [&](const Image& image) {
                    // A worker with an old clock reading, 30: user 100 owes until at least 60, whether it is
                    // known or forgotten.
                    const auto late = table().update(user(100), kLimit, Owe{30, 1, true});
                    EXPECT_TRUE(late != UserTable::Outcome::changed || debt_of(100) >= 61)
                        << image.instruction;
                  });
}

TEST_F(UsersCrash, KilledInsideAChargeItIsMadeOrNot) {
  owe(1, 10, 100);
  kill_everywhere([&] { owe(1, 10, 100); }, 2,
                  [&](const Image& image) { EXPECT_EQ(debt_of(1), image.instruction == 0 ? 110U : 210U); });
}

TEST_F(UsersCrash, KilledInsideARefundItIsMadeOrNot) {
  owe(1, 10, 100);
  kill_everywhere(
      [&] {
        table().modify(user(1), kLimit, nullptr,
                       [](std::uint64_t until) { return std::optional<std::uint64_t>(until - 50); });
      },
      2, [&](const Image& image) { EXPECT_EQ(debt_of(1), image.instruction == 0 ? 110U : 60U); });
}

// There is one slot, which holds another name: eight words are written, hence seven images between the two
// names.
TEST_F(UsersCrash, KilledInsideWritingANameItIsNotShown) {
  const std::string alice(48, 'a');
  const std::string bob(48, 'b');
  NameTable names(memory->names);
  names.remember(1, alice);
  kill_everywhere([&] { names.remember(2, bob); }, 9,
                  [&](const Image& image) {
                    int shown = 0;
                    names.for_each([&](std::uint64_t tag_hash, std::string_view name) {
                      ++shown;
                      EXPECT_EQ(name, tag_hash == 1 ? alice : bob) << image.instruction;
                    });
                    names.remember(2, bob);
                    EXPECT_EQ(names.find(2), (RememberedName{bob, false}));
                  });
}

}  // namespace
}  // namespace weir::test

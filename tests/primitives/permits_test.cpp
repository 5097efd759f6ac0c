// SPDX-License-Identifier: Apache-2.0
#include "primitives/permits.hpp"

#include <gtest/gtest.h>
#include <random>
#include <set>
#include <vector>

#include "base/ticks.hpp"

namespace weir::detail {
namespace {

constexpr Owner kAlice(0, 1);
constexpr Owner kBob(4094, 255);
constexpr std::uint64_t kNow = ticks_from_ns(5'000'000'000);

struct Pool {
  explicit Pool(std::uint32_t cells) : words(cells), permits(words) {}
  Permit take(Owner owner, std::uint32_t limit, std::uint32_t weight = 1, std::uint32_t hint = 0) {
    return permits.take(owner, limit, weight, hint, kNow);
  }
  std::vector<std::uint64_t> image() const {
    std::vector<std::uint64_t> image;
    for (const Word& word : words) image.push_back(word.load(std::memory_order_relaxed));
    return image;
  }

  std::vector<Word> words;
  Permits permits;
};

TEST(FirstLook, IsInLinesOfTheirOwnWhileThereAreEnough) {
  for (const std::uint32_t limit : {1U, 7U, 8U, 9U, 24U, 64U, 100U, 1'000U, 65'535U}) {
    const std::uint32_t lines = (limit + 7) / 8;
    const FirstLook look(limit);
    std::set<std::uint32_t> taken;
    for (std::uint32_t n = 0; n < lines; ++n) taken.insert(FirstLook::cell(look.hint(n), limit) / 8);
    EXPECT_EQ(taken.size(), lines) << "limit " << limit;
  }
}

TEST(FirstLook, IsInCellsOfTheirOwnOnceTheLinesAreTaken) {
  const FirstLook look(64);
  std::set<std::uint32_t> taken;
  for (std::uint32_t n = 0; n < 64; ++n) taken.insert(FirstLook::cell(look.hint(n), 64));
  EXPECT_EQ(taken.size(), 64U);
}

TEST(FirstLook, IsAlwaysAmongTheCells) {
  for (std::uint32_t limit = 1; limit < 200; ++limit) {
    for (const std::uint32_t usable : {limit, limit / 2 + 1}) {
      for (std::uint32_t n = 0; n < 1'100; ++n)
        ASSERT_LT(FirstLook::cell(FirstLook(limit).hint(n), usable), usable) << limit << ", " << n;
    }
  }
}

TEST(Permits, AreAsManyAsTheLimitAndEachRecordsItsOwner) {
  for (const std::uint32_t limit : {1U, 20U, 65'535U}) {
    Pool pool(limit);
    std::set<std::uint32_t> cells;
    for (std::uint32_t i = 0; i < limit; ++i) {
      const Permit permit = pool.take(i % 2 == 0 ? kAlice : kBob, limit, 1, i * 0x9e3779b1U);
      ASSERT_TRUE(permit);
      EXPECT_TRUE(cells.insert(permit.cell).second);
      EXPECT_EQ(permit_word::owner(permit.word), i % 2 == 0 ? kAlice : kBob);
    }
    EXPECT_FALSE(pool.take(kAlice, limit));
    EXPECT_FALSE(pool.permits.available(limit, 1, 0));
    EXPECT_EQ(pool.permits.in_use(), limit);
  }
}

TEST(Permits, ARefusalWritesNothing) {
  Pool pool(8);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(pool.take(kAlice, 8));
  const auto before = pool.image();
  EXPECT_FALSE(pool.take(kBob, 8));
  EXPECT_EQ(pool.image(), before);
}

TEST(Permits, AreGivenBackOnceAndOnlyByTheirHolder) {
  Pool pool(1);
  const Permit permit = pool.take(kAlice, 1);
  EXPECT_EQ(pool.permits.give_back(permit), 1U);
  EXPECT_EQ(pool.permits.give_back(permit), 0U) << "there is nothing left to give back";
  const Permit bobs = pool.take(kBob, 1);
  ASSERT_TRUE(bobs);
  EXPECT_EQ(pool.permits.give_back(permit), 0U) << "the cell is Bob's now";
  EXPECT_EQ(pool.permits.in_use(), 1U);
}

TEST(Permits, OfDeadWorkersAreReclaimedAndOthersStay) {
  Pool pool(10);
  std::vector<Permit> alices;
  for (int i = 0; i < 4; ++i) alices.push_back(pool.take(kAlice, 10));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pool.take(kBob, 10));
  EXPECT_EQ(pool.permits.reclaim([](Owner owner) { return owner == kAlice; }), 4U);
  EXPECT_EQ(pool.permits.reclaim([](Owner owner) { return owner == kAlice; }), 0U)
      << "a second reclaim frees nothing";
  EXPECT_EQ(pool.permits.in_use(), 3U);
  for (const Permit& late : alices) EXPECT_EQ(pool.permits.give_back(late), 0U);
}

TEST(Permits, OfSeveralCellsAreTakenTogetherOrNotAtAll) {
  Pool pool(10);
  const Permit four = pool.take(kAlice, 10, 4, 0xffff'ffffU);
  const Permit five = pool.take(kBob, 10, 5);
  ASSERT_TRUE(four && five);
  EXPECT_EQ(pool.permits.in_use(), 9U);
  EXPECT_FALSE(pool.take(kAlice, 10, 2));
  EXPECT_EQ(pool.permits.in_use(), 9U) << "the one that was free is free again";
  EXPECT_EQ(pool.permits.give_back(four), 4U);
  EXPECT_EQ(pool.permits.give_back(five), 5U);
  EXPECT_EQ(pool.permits.in_use(), 0U);
}

TEST(Permits, OfAPriorityClassAreAPrefix) {
  Pool pool(10);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(pool.take(kAlice, 6, 1, 0xffff'ffffU)) << "the low class has six";
  EXPECT_FALSE(pool.take(kAlice, 6));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool.take(kBob, 10)) << "the high class has all ten";
}

TEST(Permits, KeepALoweredLimitStrictly) {
  Pool pool(10);
  std::vector<Permit> held;
  for (std::uint32_t i = 0; i < 8; ++i) held.push_back(pool.take(kAlice, 10));
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::shuffle(held.begin(), held.end(), random);
  for (int step = 0; step < 100; ++step) {  // five drain before any is taken; then three come and go
    const std::uint32_t before = pool.permits.in_use();
    const Permit permit = pool.take(kBob, 3);
    ASSERT_EQ(static_cast<bool>(permit), before < 3) << "at " << before << " in use";
    if (permit) held.push_back(permit);
    std::swap(held[random() % held.size()], held.back());
    pool.permits.give_back(held.back());
    held.pop_back();
    if (held.empty()) held.push_back(pool.take(kBob, 3));
  }
  for (const Permit& permit : held) pool.permits.give_back(permit);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pool.take(kBob, 3)) << "all of a lowered limit is there again";
  EXPECT_FALSE(pool.take(kBob, 3));
}

TEST(Permits, ReportTheirAge) {
  const std::uint64_t word = permit_word::make(kAlice, 0, kNow);
  const std::uint64_t second = ticks_from_ns(1'000'000'000);
  EXPECT_NEAR(static_cast<double>(permit_word::age(word, kNow + 100 * second)),
              static_cast<double>(100 * second), static_cast<double>(second) * 0.07);
}

TEST(Permits, StayInBoundsAndFinishOverAnyBytes) {
  std::mt19937_64 random(11);
  Pool pool(64);
  for (int round = 0; round < 10'000; ++round) {
    for (Word& word : pool.words) word.store(random() % 3 == 0 ? 0 : random(), std::memory_order_relaxed);
    const Permit permit = pool.take(kAlice, 64, 1 + static_cast<std::uint32_t>(random() % 4));
    (void)pool.permits.give_back({random(), static_cast<std::uint32_t>(random() % 64)});
    (void)pool.permits.give_back(permit);
    (void)pool.permits.reclaim([](Owner owner) { return owner.slot() % 2 == 0; });
  }
}

}  // namespace
}  // namespace weir::detail

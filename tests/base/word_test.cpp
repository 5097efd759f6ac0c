// SPDX-License-Identifier: Apache-2.0
#include "base/word.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace weir::detail {
namespace {

TEST(PairWord, ChangesBothHalvesOrNeither) {
  PairWord pair;
  Pair seen{0, 1};
  EXPECT_FALSE(pair.compare_exchange(seen, {5, 6}));
  EXPECT_EQ(seen, (Pair{0, 0})) << "a failure tells what is there";
  EXPECT_TRUE(pair.compare_exchange(seen, {5, 6}));
  EXPECT_EQ(pair.load_first(std::memory_order_relaxed), 5U);
  EXPECT_EQ(pair.load_second(std::memory_order_relaxed), 6U);
}

TEST(PairWord, IsReplacedOnlyWhereBothHalvesAreAsExpected) {
  PairWord pair;
  ASSERT_TRUE(pair.replace({0, 0}, {5, 6}));
  EXPECT_FALSE(pair.replace({5, 7}, {1, 1}));
  EXPECT_FALSE(pair.replace({4, 6}, {1, 1}));
  EXPECT_TRUE(pair.replace({5, 6}, {7, 8}));
  EXPECT_EQ(pair.load_first(std::memory_order_relaxed), 7U);
  EXPECT_EQ(pair.load_second(std::memory_order_relaxed), 8U);
}

TEST(PairWord, IsNeverTornBetweenThreads) {
  PairWord pair;
  const auto count = [&] {
    for (int i = 0; i < 100'000; ++i) {
      Pair seen{};
      while (!pair.compare_exchange(seen, {seen.first + 1, seen.second + 3}))
        EXPECT_EQ(seen.first * 3, seen.second);
    }
  };
  std::thread other(count);
  count();
  other.join();
  EXPECT_EQ(pair.load_first(std::memory_order_relaxed), 200'000U);
  EXPECT_EQ(pair.load_second(std::memory_order_relaxed), 600'000U);
}

TEST(Word, SaysWhetherItsExchangeTookPlace) {
  Word word(7);
  std::uint64_t seen = 6;
  EXPECT_FALSE(word.compare_exchange(seen, 8, std::memory_order_relaxed));
  EXPECT_EQ(seen, 7U);
  EXPECT_TRUE(word.compare_exchange(seen, 8, std::memory_order_relaxed));
  EXPECT_EQ(word.fetch_add(2, std::memory_order_relaxed), 8U);
  EXPECT_EQ(word.load(std::memory_order_relaxed), 10U);
}

}  // namespace
}  // namespace weir::detail

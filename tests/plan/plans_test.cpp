// SPDX-License-Identifier: Apache-2.0

// The plans of a process: which is found, which is kept, and how many.

#include "plan/plans.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace weir::detail {
namespace {

struct Compiled {
  std::uint64_t value = 0;
  friend bool operator==(const Compiled&, const Compiled&) = default;
};
using Shelf = PlanShelf<Compiled, 4>;

TEST(Plans, AreFoundUnderTheirTurnAlone) {
  Shelf shelf;
  EXPECT_EQ(shelf.find(1, 0), nullptr);
  shelf.keep(1, {7}, 2);
  ASSERT_NE(shelf.find(1, 2), nullptr);
  EXPECT_EQ(shelf.find(1, 2)->value, 7U);
  EXPECT_EQ(shelf.find(1, 4), nullptr);
  EXPECT_EQ(shelf.find(2, 2), nullptr);
}

TEST(Plans, ThatAreEqualAreKeptOnce) {
  Shelf shelf;
  shelf.keep(0, {1}, 2);
  const Compiled* const first = shelf.find(0, 2);
  shelf.keep(0, {2}, 4);
  shelf.keep(0, {1}, 6);
  EXPECT_EQ(shelf.find(0, 6), first);
  EXPECT_EQ(shelf.find(0, 4), nullptr);
}

TEST(Plans, AreBounded) {
  Shelf shelf;
  for (std::uint64_t i = 0; i < Shelf::kMostPlans + 10; ++i) shelf.keep(0, {i}, 2 * i);
  EXPECT_EQ(shelf.find(0, 2 * (Shelf::kMostPlans + 9)), nullptr) << "the request compiles its own";
  // What was kept is found again.
  shelf.keep(0, {5}, 1'000'000);
  ASSERT_NE(shelf.find(0, 1'000'000), nullptr);
  EXPECT_EQ(shelf.find(0, 1'000'000)->value, 5U);
}

TEST(Plans, OfManyThreadsAreRightForTheTurnThatTheyName) {
  Shelf shelf;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&shelf, t] {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::uint64_t turn = 2 * (i / 100 + t);
        const Compiled* const found = shelf.find(0, turn);
        if (found == nullptr) {
          shelf.keep(0, {turn / 2 % 8}, turn);
        } else {
          EXPECT_EQ(found->value, turn / 2 % 8);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir::detail

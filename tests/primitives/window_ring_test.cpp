// SPDX-License-Identifier: Apache-2.0
#include "primitives/window_ring.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace weir::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::uint64_t at(nanoseconds time) {
  return ticks_from_ns(static_cast<std::uint64_t>(time.count()));
}

// A ring and its memory.
struct Memory {
  explicit Memory(std::size_t count) : cells(count) {}
  [[nodiscard]] WindowRing ring() { return WindowRing(cells); }
  [[nodiscard]] std::vector<std::uint64_t> words() const {
    std::vector<std::uint64_t> all;
    for (const Word& word : cells) all.push_back(word.load(std::memory_order_relaxed));
    return all;
  }

  std::vector<Word> cells;
};

// Eleven cells: the epochs last a second.
constexpr std::size_t kCells = 11;
constexpr WindowParams kHundredInTen{.length = ticks_from_ns(10'000'000'000), .limit = 100};

struct Step {
  nanoseconds time;
  std::uint32_t cost;
  nanoseconds wait;  // 0: admitted; -1: never
};

TEST(WindowRing, AdmitsTheLimitAndCountsEachUntilItsEpochIsOut) {
  Memory memory(kCells);
  for (const Step& step : std::initializer_list<Step>{
           {20'300ms, 60, 0s},
           {25'900ms, 41, 5'100ms},  // exact would be 4.4 s: the epoch of second 20 leaves at 31 s
           {25'900ms, 40, 0s},
           {25'900ms, 1, 5'100ms},
           {25'900ms, 61, 10'100ms},
           {25'900ms, 101, nanoseconds(-1)},
           {30'999ms, 1, 1ms},
           {31s, 60, 0s},
           {31s, 1, 5s},
           {60s, 100, 0s},
       }) {
    const auto expected = step.wait.count() < 0 ? kNever : at(step.wait);
    EXPECT_EQ(memory.ring().wait(kHundredInTen, at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns, cost " << step.cost;
    EXPECT_EQ(memory.ring().admit(kHundredInTen, at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns, cost " << step.cost;
  }
}

TEST(WindowRing, RefusesWithoutWriting) {
  Memory memory(kCells);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(20s), 99), 0U);
  const auto before = memory.words();
  EXPECT_NE(memory.ring().admit(kHundredInTen, at(21s), 2), 0U);
  EXPECT_EQ(memory.words(), before);
}

TEST(WindowRing, ALateClockReadingCountsInTheNewestEpoch) {
  Memory memory(kCells);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(30s), 50), 0U);
  EXPECT_EQ(memory.ring().admit(kHundredInTen, at(12s), 51), at(29s));
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(12s), 50), 0U);
  EXPECT_EQ(memory.ring().wait(kHundredInTen, at(30s), 1), at(11s));
}

TEST(WindowRing, RefundsWhatWasCountedAndNeverMore) {
  Memory memory(kCells);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(20s), 60), 0U);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(24s), 40), 0U);
  memory.ring().refund(kHundredInTen, at(25s), 10, at(20s));
  EXPECT_EQ(memory.ring().available(kHundredInTen, at(25s)), 10U);
  memory.ring().refund(kHundredInTen, at(25s), 51, at(20s));  // the cell counts less, so nothing is refunded
  EXPECT_EQ(memory.ring().available(kHundredInTen, at(25s)), 10U);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, at(31s), 60), 0U);  // in the cell of second 20
  memory.ring().refund(kHundredInTen, at(31s), 50, at(20s));
  EXPECT_EQ(memory.ring().available(kHundredInTen, at(31s)), 0U);
}

TEST(WindowRing, ChargesAfterTheFactWithoutRefusingAndForgetsOnReset) {
  Memory memory(kCells);
  EXPECT_EQ(memory.ring().full_in(kHundredInTen, at(20s)), 0U);
  memory.ring().charge(kHundredInTen, at(20s), 150);
  memory.ring().charge(kHundredInTen, at(22s), ~0U);
  EXPECT_EQ(memory.ring().available(kHundredInTen, at(22s)), 0U);
  EXPECT_EQ(memory.ring().wait(kHundredInTen, at(22s), 1), at(11s));
  EXPECT_EQ(memory.ring().full_in(kHundredInTen, at(22s)), at(11s));
  EXPECT_EQ(memory.ring().full_in(kHundredInTen, at(33s)), 0U);
  memory.ring().reset();
  EXPECT_EQ(memory.ring().full_in(kHundredInTen, at(22s)), 0U);
  EXPECT_EQ(memory.ring().admit(kHundredInTen, at(22s), 100), 0U);
}

TEST(WindowRing, EpochZeroCountsLikeAnyOther) {
  Memory memory(kCells);
  ASSERT_EQ(memory.ring().admit(kHundredInTen, 0, 100), 0U);
  EXPECT_EQ(memory.ring().wait(kHundredInTen, at(500ms), 1), at(10'500ms));
  EXPECT_EQ(memory.ring().admit(kHundredInTen, at(11s), 100), 0U);
}

TEST(WindowRing, RetryAfterIsExactToTheTick) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 5'000; ++round) {
    Memory memory(2 + random() % 60);
    const WindowParams params{.length = 1 + (random() >> (3 + random() % 60)), .limit = 50};
    std::uint64_t now = random() >> 2;
    for (int i = 0; i < 20; ++i) {
      const auto cost = static_cast<std::uint32_t>(1 + random() % 50);
      const std::uint64_t wait = memory.ring().admit(params, now, cost);
      if (wait != 0) {
        EXPECT_NE(memory.ring().wait(params, now + wait - 1, cost), 0U);
        EXPECT_EQ(memory.ring().wait(params, now + wait, cost), 0U);
      }
      now += random() % (params.length / 4 + 2);
    }
  }
}

// The oracle keeps the count of every epoch in a map.
TEST(WindowRing, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::size_t cells : {std::size_t{2}, std::size_t{5}, std::size_t{kRingCells}}) {
    Memory memory(cells);
    std::map<std::uint64_t, std::uint64_t> counts;
    const std::uint64_t width = 3 * ring_cell::kMinWidth;
    const std::uint64_t length = (cells - 1) * width;
    std::uint64_t clock = length;
    std::uint64_t newest = 0;
    for (int i = 0; i < 20'000; ++i) {
      clock += random() % 4 == 0 ? random() % (length / 3) : random() % width / 20;
      const std::uint64_t now = clock - (random() % 4 == 0 ? random() % length : 0);  // sometimes late
      const std::uint32_t limit = random() % 4 != 0 ? 1000 : static_cast<std::uint32_t>(1 + random() % 1000);
      const auto cost = static_cast<std::uint32_t>(1 + random() % std::min(limit, 300U));
      const std::uint64_t epoch = std::max(now / width, newest);
      std::uint64_t sum = cost;
      for (const auto& [e, count] : counts) sum += e + cells > epoch ? count : 0;
      const bool expected = sum <= limit;
      ASSERT_EQ(memory.ring().available({length, limit}, now) >= cost, expected) << "step " << i;
      ASSERT_EQ(memory.ring().admit({length, limit}, now, cost) == 0, expected) << "step " << i;
      if (!expected) continue;
      newest = epoch;
      counts[epoch] += cost;
    }
  }
}

TEST(WindowRing, NoWindowAtAnyPositionHoldsMoreThanTheLimit) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Memory memory(2 + random() % 12);
    const WindowParams params{.length = (std::uint64_t{1} << (26 + random() % 10)) + random() % 1000,
                              .limit = 20};
    std::deque<std::uint64_t> times;
    std::uint64_t now = 0;
    std::size_t most = 0;
    for (int i = 0; i < 2'000; ++i) {
      now += random() % (params.length / (random() % 20 == 0 ? 1 : 50));
      if (memory.ring().admit(params, now, 1) != 0) continue;
      times.push_back(now);
      while (times.front() + params.length <= now) times.pop_front();
      most = std::max(most, times.size());
    }
    EXPECT_LE(most, params.limit);
  }
}

// The price of the bound: a request is never refused for more than one epoch's width longer than in an exact
// window.
TEST(WindowRing, RefusesAtMostOneEpochLongerThanExact) {
  Memory memory(kRingCells);
  const WindowParams params{.length = at(59s), .limit = 1};
  for (const nanoseconds start : {100s + 0ns, 100s + 1ns, 100s + 999'999'999ns}) {
    memory.ring().reset();
    ASSERT_EQ(memory.ring().admit(params, at(start), 1), 0U);
    const std::uint64_t wait = memory.ring().wait(params, at(start), 1);
    EXPECT_GE(wait, params.length);
    EXPECT_LE(wait, params.length + at(1s));
  }
}

TEST(WindowRing, RepairsCellsFromTheFarFuture) {
  Memory memory(kCells);
  const std::uint64_t epoch = at(31s) / at(1s) + 2 * kMaxDepthTicks / at(1s) + 1;
  for (std::size_t i = 0; i < kCells; ++i) {
    memory.cells[i].store(ring_cell::make(epoch + i, 100), std::memory_order_relaxed);
  }
  EXPECT_EQ(memory.ring().admit(kHundredInTen, at(31s), 100), 0U);
  EXPECT_NE(memory.ring().admit(kHundredInTen, at(31s), 1), 0U) << "it admits one window's worth only";
}

TEST(WindowRing, AnyWordsGetAnAnswer) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto any = [&] { return random() >> random() % 64; };
  for (int round = 0; round < 20'000; ++round) {
    Memory memory(2 + random() % 6);  // exactly as large as needed: the sanitizers see an access outside
    for (Word& word : memory.cells) word.store(any(), std::memory_order_relaxed);
    const WindowParams params{.length = 1 + any() % kMaxDepthTicks,
                              .limit = static_cast<std::uint32_t>(any())};
    const std::uint64_t now = any() / 2;
    const auto cost = static_cast<std::uint32_t>(1 + random() % 8);
    (void)memory.ring().wait(params, now, cost);
    (void)memory.ring().admit(params, now, cost);
    memory.ring().refund(params, now, cost, any());
    memory.ring().charge(params, now, cost);
    EXPECT_LE(memory.ring().available(params, now), params.limit);
    (void)memory.ring().full_in(params, now);
    memory.ring().reset();
    EXPECT_EQ(memory.ring().full_in(params, now), 0U);
  }
}

TEST(WindowRing, CountsUpToItsHighestLimitAndUntilTicksEnd) {
  Memory memory(kRingCells);
  const WindowParams params{.length = 1, .limit = ~0U};
  const std::uint64_t now = ~std::uint64_t{0} - 4 * ring_cell::kMinWidth;
  EXPECT_EQ(memory.ring().admit(params, now, kMaxRingLimit + 1), kNever);
  EXPECT_EQ(memory.ring().admit(params, now, kMaxRingLimit), 0U);
  EXPECT_EQ(memory.ring().wait(params, now, 1), ring_cell::kMinWidth + 1);
}

TEST(WindowRing, ZeroedMemoryIsAnEmptyRing) {
  Memory memory(2);
  EXPECT_EQ(memory.ring().admit(kHundredInTen, 0, 100), 0U);
  EXPECT_NE(memory.ring().admit(kHundredInTen, 0, 1), 0U);
}

// Whatever the length, an admission counts for the window and for at most one cell longer.
TEST(WindowRing, CountsAtMostOneCellLongerHoweverShortTheWindow) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (std::uint64_t ms = 3; ms < 400; ++ms) {
    const WindowParams params{.length = ms * kMinWindowTicks, .limit = 1};
    // A cell is as wide as a 59th of the window, or the window has as many cells as fit.
    const std::uint64_t cells = std::min<std::uint64_t>(59, params.length / ring_cell::kMinWidth);
    const std::uint64_t cell = (params.length + cells - 1) / cells;
    for (int i = 0; i < 50; ++i) {
      Memory memory(kRingCells);
      const std::uint64_t now = at(1h) + random() % at(1h);
      ASSERT_EQ(memory.ring().admit(params, now, 1), 0U);
      const std::uint64_t wait = memory.ring().wait(params, now, 1);
      ASSERT_GE(wait, params.length) << ms << " ms";
      ASSERT_LE(wait, params.length + cell + cells) << ms << " ms, at " << now;
    }
  }
}

}  // namespace
}  // namespace weir::detail

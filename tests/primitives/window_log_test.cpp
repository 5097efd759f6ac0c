// SPDX-License-Identifier: Apache-2.0
#include "primitives/window_log.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <gtest/gtest.h>
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

// A log and its memory.
struct Memory {
  explicit Memory(std::size_t capacity) : times(capacity) {}
  [[nodiscard]] WindowLog log() { return {times, hint}; }
  [[nodiscard]] std::vector<std::uint64_t> words() const {
    std::vector<std::uint64_t> all{hint.load(std::memory_order_relaxed)};
    for (const Word& word : times) all.push_back(word.load(std::memory_order_relaxed));
    return all;
  }

  std::vector<Word> times;
  Word hint;
};

constexpr std::uint64_t kSecond = ticks_from_ns(1'000'000'000);
constexpr WindowParams kThreeInTen{.length = 10 * kSecond, .limit = 3};

struct Step {
  nanoseconds time;
  std::uint32_t cost;
  nanoseconds wait;  // 0: admitted; -1: never
};

void expect_timeline(Memory& memory, WindowParams params, std::initializer_list<Step> steps) {
  for (const Step& step : steps) {
    const std::uint64_t expected = step.wait.count() < 0 ? kNever : at(step.wait);
    EXPECT_EQ(memory.log().wait(params, at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns, cost " << step.cost;
    EXPECT_EQ(memory.log().admit(params, at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns, cost " << step.cost;
  }
}

TEST(WindowLog, AdmitsTheLimitInAnyWindowWhereverItBegins) {
  Memory memory(3);
  expect_timeline(memory, kThreeInTen,
                  {
                      {20s, 1, 0s},
                      {27s, 2, 0s},
                      {27s, 1, 3s},
                      {29'999ms, 1, 1ms},
                      {30s, 1, 0s},  // the first has left the window
                      {30s, 1, 7s},
                      {30s, 2, 7s},  // both of second 27 leave together
                      {30s, 3, 10s},
                      {30s, 4, nanoseconds(-1)},
                  });
}

TEST(WindowLog, ALimitOfOneNeedsOneCell) {
  Memory memory(1);
  expect_timeline(memory, {.length = kSecond, .limit = 1},
                  {{5s, 1, 0s}, {5s, 1, 1s}, {5s, 2, nanoseconds(-1)}, {6s, 1, 0s}, {6'500ms, 1, 500ms}});
}

TEST(WindowLog, ALoweredLimitHoldsAtOnceAndARaisedOneToo) {
  Memory memory(4);
  expect_timeline(memory, {.length = 10 * kSecond, .limit = 4}, {{20s, 1, 0s}, {21s, 1, 0s}, {22s, 1, 0s}});
  expect_timeline(memory, {.length = 10 * kSecond, .limit = 2}, {{23s, 1, 8s}, {30s, 1, 1s}});
  expect_timeline(memory, {.length = 10 * kSecond, .limit = 4}, {{23s, 1, 0s}, {23s, 1, 7s}});
  expect_timeline(memory, {.length = 10 * kSecond, .limit = 2}, {{31s, 1, 1s}, {32s, 1, 0s}, {32s, 1, 1s}});
}

TEST(WindowLog, ALimitAboveTheCellsIsCutToThem) {
  Memory memory(2);
  expect_timeline(memory, {.length = kSecond, .limit = 9},
                  {{5s, 3, nanoseconds(-1)}, {5s, 2, 0s}, {5s, 1, 1s}});
}

TEST(WindowLog, RefusesWithoutWriting) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
  const auto before = memory.words();
  EXPECT_NE(memory.log().admit(kThreeInTen, at(21s), 2), 0U);
  EXPECT_EQ(memory.log().wait(kThreeInTen, at(21s), 1), 0U);
  EXPECT_EQ(memory.words(), before);
}

TEST(WindowLog, RetryAfterIsExactToTheNanosecond) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 1000; ++round) {
    Memory memory(5);
    const WindowParams params{.length = ticks_from_ns(1000 + random() % 10'000), .limit = 5};
    std::uint64_t now = ticks_from_ns(1'000'000);
    const auto cost = static_cast<std::uint32_t>(1 + random() % 5);
    std::uint64_t wait = 0;
    while ((wait = memory.log().admit(params, now, cost)) == 0) now += ticks_from_ns(random() % 200);
    EXPECT_NE(memory.log().wait(params, now + wait - 1, cost), 0U);
    EXPECT_EQ(memory.log().admit(params, now + wait, cost), 0U);
  }
}

// A clock of whole seconds, or a burst within one reading: the n-th request of one time is not later than the
// first.
TEST(WindowLog, EqualTimesAreEqual) {
  Memory memory(10);
  const WindowParams params{.length = 10 * kSecond, .limit = 5};
  for (const auto second : {0s, 10s, 20s}) {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(memory.log().admit(params, at(second), 1), 0U) << second.count();
    EXPECT_EQ(memory.log().admit(params, at(second), 1), at(10s));
    EXPECT_EQ(memory.log().available(params, at(second)), 0U);
    EXPECT_EQ(memory.log().full_in(params, at(second)), at(10s));
  }
}

TEST(WindowLog, EqualTimesInAllCellsAreEqual) {
  constexpr std::uint32_t kMany = 65'535;
  Memory memory(kMany);
  const WindowParams params{.length = kSecond, .limit = kMany};
  for (int round = 0; round < 70; ++round) {  // more than the 64 turns that a cell tells apart
    const std::uint64_t now = at(5s) + static_cast<std::uint64_t>(round) * kSecond;
    ASSERT_EQ(memory.log().admit(params, now, kMany), 0U) << "round " << round;
    ASSERT_EQ(memory.log().wait(params, now, 1), kSecond);
    ASSERT_EQ(memory.log().wait(params, now + kSecond - 1, kMany), 1U);
  }
}

// Neither the first cell nor the last is special, nor is the turn in which the lap wraps around.
TEST(WindowLog, AHintLeftBehindIsMovedAmongEqualTimes) {
  for (std::uint32_t lag = 0; lag < 3; ++lag) {
    Memory memory(3);
    for (std::uint64_t turn = 0; turn < 200; ++turn) {
      const std::uint64_t now = at(5s) + turn * 10 * kSecond;
      const std::uint64_t hint = memory.hint.load(std::memory_order_relaxed);
      ASSERT_EQ(memory.log().admit(kThreeInTen, now, lag), 0U);
      memory.hint.store(hint, std::memory_order_relaxed);  // as killed processes leave it
      ASSERT_EQ(memory.log().available(kThreeInTen, now), 3 - lag) << "turn " << turn;
      ASSERT_EQ(memory.log().admit(kThreeInTen, now, 3 - lag), 0U);
      ASSERT_EQ(memory.log().admit(kThreeInTen, now, 1), at(10s)) << "turn " << turn;
    }
  }
}

TEST(WindowLog, AChargeForATimeThatFillsTheRingChangesNothing) {
  Memory memory(3);
  memory.log().charge(kThreeInTen, at(20s), 3);
  const auto before = memory.words();
  memory.log().charge(kThreeInTen, at(20s), 3);
  EXPECT_EQ(memory.words(), before);
  memory.log().charge(kThreeInTen, at(21s), 1);
  EXPECT_EQ(memory.log().wait(kThreeInTen, at(21s), 1), at(9s));
}

TEST(WindowLog, ALateClockReadingNeverAdmitsMore) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 3), 0U);
  EXPECT_EQ(memory.log().admit(kThreeInTen, at(15s), 1), at(15s));
  EXPECT_EQ(memory.log().admit(kThreeInTen, at(2s), 3), at(28s));
  // An admission with a late reading counts as the newest: it does not leave the window early.
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(31s), 2), 0U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(30s) + 4, 1), 0U);
  EXPECT_EQ(memory.log().wait(kThreeInTen, at(31s), 3), at(10s));
}

TEST(WindowLog, RefundsWhatWasCountedAndNeverMore) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
  memory.log().refund(kThreeInTen, at(20s), 2, at(20s));
  EXPECT_EQ(memory.log().available(kThreeInTen, at(20s)), 3U);
  EXPECT_EQ(memory.log().full_in(kThreeInTen, at(20s)), 0U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 3), 0U);
  memory.log().refund(kThreeInTen, at(21s), 2, at(20s));
  EXPECT_EQ(memory.log().available(kThreeInTen, at(21s)), 2U);
  memory.log().refund(kThreeInTen, at(21s), 1'000'000, at(20s));
  EXPECT_EQ(memory.log().available(kThreeInTen, at(21s)), 3U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(22s), 3), 0U);
  EXPECT_NE(memory.log().admit(kThreeInTen, at(22s), 1), 0U);
}

TEST(WindowLog, ARefundThatComesAfterAWindowTakesNothingFromOthers) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 1), 0U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(29s), 2), 0U);
  memory.log().refund(kThreeInTen, at(30s), 1, at(20s));
  EXPECT_EQ(memory.log().available(kThreeInTen, at(30s)), 1U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(30s), 1), 0U);
  memory.log().refund(kThreeInTen, at(29s), 1, at(20s));  // nor with a late clock: it has left the ring
  EXPECT_EQ(memory.log().available(kThreeInTen, at(30s)), 0U);
}

// One request may pass at once. The newer time stays counted, so the next request may have to wait longer.
TEST(WindowLog, AfterARefundOneRequestMayPassAtOnceAndTheNextUpToAWindowLate) {
  Memory memory(2);
  const WindowParams two{.length = 10 * kSecond, .limit = 2};
  ASSERT_EQ(memory.log().admit(two, at(20s), 1), 0U);
  ASSERT_EQ(memory.log().admit(two, at(28s), 1), 0U);
  memory.log().refund(two, at(28s), 1, at(28s));
  EXPECT_EQ(memory.log().admit(two, at(28s), 1), 0U);
  EXPECT_EQ(memory.log().wait(two, at(28s), 1), at(10s));  // exact would be 2 s
}

TEST(WindowLog, ReportsHowManyAreLeftAndWhenItIsAtRest) {
  Memory memory(3);
  EXPECT_EQ(memory.log().available(kThreeInTen, at(20s)), 3U);
  EXPECT_EQ(memory.log().full_in(kThreeInTen, at(20s)), 0U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 1), 0U);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(24s), 1), 0U);
  EXPECT_EQ(memory.log().available(kThreeInTen, at(24s)), 1U);
  EXPECT_EQ(memory.log().full_in(kThreeInTen, at(24s)), at(10s));
  EXPECT_EQ(memory.log().available(kThreeInTen, at(30s)), 2U);
  EXPECT_EQ(memory.log().available({.length = 10 * kSecond, .limit = 1}, at(24s)), 0U);
}

TEST(WindowLog, ChargesAfterTheFactWithoutRefusing) {
  Memory memory(3);
  memory.log().charge(kThreeInTen, at(20s), 2);
  EXPECT_EQ(memory.log().available(kThreeInTen, at(20s)), 1U);
  memory.log().charge(kThreeInTen, at(21s), 1'000'000'000);
  EXPECT_NE(memory.log().wait(kThreeInTen, at(30'900ms), 1), 0U);
  EXPECT_EQ(memory.log().available(kThreeInTen, at(32s)), 3U);
}

TEST(WindowLog, AResetForgetsEverythingAndLaterTimesCountAgain) {
  Memory memory(3);
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
    memory.log().reset();
    memory.log().reset();
    EXPECT_EQ(memory.log().full_in(kThreeInTen, at(20s)), 0U);
    ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 3), 0U);
    EXPECT_EQ(memory.log().wait(kThreeInTen, at(20s), 1), at(10s));
    memory.log().reset();
  }
}

TEST(WindowLog, AHintLeftBehindCostsAStepAndNothingElse) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 1), 0U);
  memory.hint.store(0, std::memory_order_relaxed);  // as a process killed before moving it leaves it
  EXPECT_EQ(memory.log().available(kThreeInTen, at(20s)), 2U);
  EXPECT_EQ(memory.log().admit(kThreeInTen, at(20s), 3), at(10s));
  EXPECT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
  EXPECT_EQ(memory.hint.load(std::memory_order_relaxed), std::uint64_t{1} << 32);
  EXPECT_EQ(memory.log().available(kThreeInTen, at(20s)), 0U);
}

// The oracle: all times in a deque.
struct Oracle {
  std::deque<std::uint64_t> times;
  std::uint64_t newest = 0;

  std::uint64_t wait(WindowParams params, std::uint64_t now, std::uint32_t cost) const {
    if (cost > params.limit) return kNever;
    const std::size_t keep = params.limit - cost;  // only times newer than these may remain
    if (times.size() <= keep) return 0;
    const std::uint64_t last = times[times.size() - 1 - keep];
    return last + params.length > now ? last + params.length - now : 0;
  }
  void charge(std::uint64_t now, std::uint32_t cost) {
    for (; cost > 0; --cost) times.push_back(newest = std::max(now, newest));
  }
};

TEST(WindowLog, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::uint32_t capacity : {1U, 2U, 3U, 7U, 64U}) {
    Memory memory(capacity);
    Oracle oracle;
    std::uint64_t clock = ticks_from_ns(1'000'000);
    for (int i = 0; i < 30'000; ++i) {
      clock += ticks_from_ns(random() % 4 == 0 ? random() % 1000 : random() % 3);
      // The clock is sometimes late.
      const std::uint64_t now = clock - (random() % 4 == 0 ? ticks_from_ns(random() % 500) : 0);
      // The limit changes within the number of cells: it is lowered and raised again.
      const WindowParams params{
          .length = ticks_from_ns(500),
          .limit = random() % 3 != 0 ? capacity : static_cast<std::uint32_t>(1 + random() % capacity)};
      const auto cost = static_cast<std::uint32_t>(1 + random() % (params.limit + 1));
      if (random() % 50 == 0) {
        memory.log().charge(params, now, cost);
        oracle.charge(now, std::min(cost, capacity));
        continue;
      }
      const std::uint64_t expected = oracle.wait(params, now, cost);
      ASSERT_EQ(memory.log().wait(params, now, cost), expected) << "step " << i;
      ASSERT_EQ(memory.log().admit(params, now, cost), expected) << "step " << i;
      if (expected == 0) oracle.charge(now, cost);
      std::uint32_t left = params.limit;
      while (left > 0 && oracle.wait(params, now, left) != 0) --left;
      ASSERT_EQ(memory.log().available(params, now), left) << "step " << i;
    }
  }
}

TEST(WindowLog, RefundsLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::uint32_t capacity : {1U, 2U, 5U, 32U}) {
    Memory memory(capacity);
    Oracle oracle;
    struct Held {
      std::uint64_t since;
      std::uint32_t cost;
    };
    std::deque<Held> held;
    std::uint64_t now = ticks_from_ns(1'000'000);
    const WindowParams params{.length = ticks_from_ns(500), .limit = capacity};
    for (int i = 0; i < 30'000; ++i) {
      now += ticks_from_ns(random() % 4 == 0 ? random() % 500 : random() % 3);
      while (!oracle.times.empty() && oracle.times.front() + params.length <= now) oracle.times.pop_front();
      if (random() % 3 == 0 && !held.empty()) {
        const std::size_t which = random() % held.size();
        const Held back = held[which];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        memory.log().refund(params, now, back.cost, back.since);
        if (back.since + params.length <= std::max(now, oracle.newest)) continue;  // it may have left already
        for (std::uint32_t k = 0; k < back.cost; ++k) oracle.times.pop_front();    // the oldest in the window
        continue;
      }
      const auto cost = static_cast<std::uint32_t>(1 + random() % capacity);
      const std::uint64_t expected = oracle.wait(params, now, cost);
      ASSERT_EQ(memory.log().admit(params, now, cost), expected) << "step " << i;
      if (expected != 0) continue;
      oracle.charge(now, cost);
      held.push_back({now, cost});
    }
  }
}

// Whatever is refunded, reset and read late: the valid admissions never exceed the limit in a window.
TEST(WindowLog, NoWindowHoldsMoreValidAdmissionsThanTheLimit) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::uint32_t capacity : {1U, 2U, 5U, 8U}) {
    const WindowParams params{.length = 1000, .limit = 1 + static_cast<std::uint32_t>(random() % capacity)};
    Memory memory(capacity);
    std::vector<std::uint64_t> standing;
    std::uint64_t clock = 1'000'000;
    for (int i = 0; i < 20'000; ++i) {
      clock += random() % 4 == 0 ? random() % 500 : random() % 3;
      const std::uint64_t now = clock - (random() % 3 == 0 ? random() % 1500 : 0);
      if (random() % 2 == 0) {
        std::uint64_t counted_at = 0;
        if (memory.log().admit(params, now, 1, &counted_at) == 0) standing.push_back(counted_at);
      } else if (!standing.empty()) {
        const std::size_t age = std::min<std::size_t>(standing.size(), 1 + random() % 8);
        const auto refunded = standing.end() - static_cast<std::ptrdiff_t>(age);
        memory.log().refund(params, now, 1, *refunded);
        standing.erase(refunded);
      }
    }
    ASSERT_TRUE(std::is_sorted(standing.begin(), standing.end()));
    for (std::size_t i = params.limit; i < standing.size(); ++i) {
      ASSERT_GE(standing[i] - standing[i - params.limit], params.length) << "at " << i;
    }
  }
}

TEST(WindowLog, RepairsAWordFromTheFarFuture) {
  for (std::size_t damaged = 0; damaged < 3; ++damaged) {
    Memory memory(3);
    ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
    memory.times[damaged].store(at(40s) + 2 * kMaxDepthTicks + 2, std::memory_order_relaxed);
    EXPECT_EQ(memory.log().admit(kThreeInTen, at(31s), 3), 0U);
    EXPECT_NE(memory.log().admit(kThreeInTen, at(31s), 1), 0U) << "it admits one window's worth only";
  }
}

// Until the head has passed it, a request may be refused because of it, and a cell may be skipped.
TEST(WindowLog, RepairsADamagedLapWithinTwoTurns) {
  for (std::uint64_t lap = 0; lap < log_cell::kLaps; ++lap) {
    for (std::size_t damaged = 0; damaged < 3; ++damaged) {
      Memory memory(3);
      ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
      memory.times[damaged].store(log_cell::make(at(20s), lap), std::memory_order_relaxed);
      for (int i = 0; i < 3; ++i) (void)memory.log().admit(kThreeInTen, at(40s), 1);
      for (int i = 0; i < 3; ++i) ASSERT_EQ(memory.log().admit(kThreeInTen, at(60s), 1), 0U);
      EXPECT_EQ(memory.log().wait(kThreeInTen, at(60s), 1), at(10s)) << "lap " << lap << " in " << damaged;
    }
  }
}

TEST(WindowLog, AResetRepairsATimeAhead) {
  Memory memory(3);
  ASSERT_EQ(memory.log().admit(kThreeInTen, at(20s), 2), 0U);
  memory.times[1].store(log_cell::make(at(40s) + kMaxDepthTicks, 1), std::memory_order_relaxed);
  EXPECT_NE(memory.log().admit(kThreeInTen, at(31s), 3), 0U);
  memory.log().reset();
  EXPECT_EQ(memory.log().admit(kThreeInTen, at(31s), 3), 0U);
  EXPECT_EQ(memory.log().wait(kThreeInTen, at(31s), 1), at(10s));
}

TEST(WindowLog, AnyWordsGetAnAnswer) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto any = [&] { return random() >> random() % 64; };
  for (int round = 0; round < 20'000; ++round) {
    Memory memory(1 + random() % 6);  // exactly as large as needed: the sanitizers see an access outside
    for (Word& word : memory.times) word.store(any(), std::memory_order_relaxed);
    memory.hint.store(any(), std::memory_order_relaxed);
    const WindowParams params{.length = 1 + any() % kMaxDepthTicks,
                              .limit = static_cast<std::uint32_t>(any())};
    const std::uint64_t now = any() / 2;
    const auto cost = static_cast<std::uint32_t>(1 + random() % 8);
    (void)memory.log().wait(params, now, cost);
    (void)memory.log().admit(params, now, cost);
    memory.log().refund(params, now, cost, any());
    memory.log().charge(params, now, cost);
    EXPECT_LE(memory.log().available(params, now), memory.times.size());
    (void)memory.log().full_in(params, now);
    memory.log().reset();
    EXPECT_EQ(memory.log().full_in(params, now), 0U);
  }
}

TEST(WindowLog, ZeroedMemoryIsAnEmptyLog) {
  Memory memory(3);
  EXPECT_EQ(memory.log().admit(kThreeInTen, 0, 3), 0U);
  EXPECT_NE(memory.log().admit(kThreeInTen, 0, 1), 0U);
}

}  // namespace
}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "primitives/fixed_window.hpp"

#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>
#include <random>
#include <string>

namespace weir::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::uint64_t at(nanoseconds time) {
  return ticks_from_ns(static_cast<std::uint64_t>(time.count()));
}

constexpr std::uint64_t kMs = kMinWindowTicks;

// Three in every ten seconds; windows begin at 4, 14, 24 s.
constexpr FixedWindowParams kThree{
    .length = ticks_from_ns(10'000'000'000), .origin = ticks_from_ns(4'000'000'000), .limit = 3};

struct Step {
  nanoseconds time;
  std::uint32_t cost;
  nanoseconds wait;  // 0: admitted; -1: never
};

TEST(FixedWindow, AdmitsTheLimitInEachWindowThatTheCallerAligned) {
  Word word;
  FixedWindow window(word);
  for (const Step& step : std::initializer_list<Step>{
           {1s, 3, 0s},  // the window that the origin cuts short
           {1s, 1, 3s},
           {4s, 2, 0s},
           {13s, 2, 1s},
           {13s, 1, 0s},
           {13s, 4, nanoseconds(-1)},
           {13'999ms, 1, 1ms},
           {14s, 3, 0s},
           {14s, 1, 10s},
           {104s, 3, 0s},
       }) {
    const auto expected = step.wait.count() < 0 ? kNever : at(step.wait);
    EXPECT_EQ(window.wait(kThree, at(step.time), step.cost), expected) << "at " << step.time.count() << " ns";
    EXPECT_EQ(window.admit(kThree, at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns";
  }
}

TEST(FixedWindow, RefusesWithoutWriting) {
  Word word;
  FixedWindow window(word);
  ASSERT_EQ(window.admit(kThree, at(20s), 3), 0U);
  const std::uint64_t before = window.state();
  EXPECT_NE(window.admit(kThree, at(21s), 1), 0U);
  EXPECT_EQ(window.state(), before);
}

TEST(FixedWindow, AddsAboveTheLimitAndReturnsTheCountAndItsEnd) {
  Word word;
  FixedWindow window(word);
  EXPECT_EQ(window.read(kThree, at(20s)).count, 0U);
  EXPECT_EQ(window.add(kThree, at(20s), 2).count, 2U);
  const fixed_window::Count count = window.add(kThree, at(21s), 5);
  EXPECT_EQ(count.count, 7U);
  EXPECT_EQ(count.expires_in, at(3s));
  EXPECT_EQ(window.available(kThree, at(21s)), 0U);
  EXPECT_EQ(window.add(kThree, at(24s), 1).count, 1U);
  EXPECT_EQ(window.add(kThree, at(24s), ~0U).count, fixed_window::max_count(kThree.length)) << "saturates";
  EXPECT_EQ(window.add(kThree, at(24s), 1).count, fixed_window::max_count(kThree.length));
}

TEST(FixedWindow, ALateClockReadingNeverRestartsAnOldWindow) {
  Word word;
  FixedWindow window(word);
  ASSERT_EQ(window.admit(kThree, at(24s), 3), 0U);
  EXPECT_EQ(window.admit(kThree, at(23s), 1), at(11s));
  EXPECT_EQ(window.admit(kThree, at(2s), 1), at(32s));
  EXPECT_EQ(window.add(kThree, at(23s), 1).count, 4U);
  EXPECT_EQ(window.available(kThree, at(24s)), 0U);
}

TEST(FixedWindow, RefundsWithinTheWindowAndNeverMore) {
  Word word;
  FixedWindow window(word);
  ASSERT_EQ(window.admit(kThree, at(20s), 2), 0U);
  window.refund(kThree, at(21s), 1, at(20s));
  EXPECT_EQ(window.available(kThree, at(21s)), 2U);
  window.refund(kThree, at(21s), 1'000'000, at(20s));
  EXPECT_EQ(window.available(kThree, at(21s)), 3U);
  ASSERT_EQ(window.admit(kThree, at(24s), 2), 0U);
  window.refund(kThree, at(25s), 2, at(20s));  // from a window that is over
  window.refund(kThree, at(20s), 2, at(20s));
  EXPECT_EQ(window.available(kThree, at(25s)), 1U);
}

TEST(FixedWindow, IsAtRestWhenItsWindowEnds) {
  Word word;
  FixedWindow window(word);
  EXPECT_EQ(window.full_in(kThree, at(20s)), 0U);
  window.charge(kThree, at(20s), 9);
  EXPECT_EQ(window.full_in(kThree, at(20s)), at(4s));
  EXPECT_EQ(window.full_in(kThree, at(24s)), 0U);
  EXPECT_EQ(fixed_window::debt(kThree, fixed_window::at_rest(kThree, at(20s)), at(20s)), 0U);
  window.charge(kThree, at(30s), 9);
  window.reset();
  EXPECT_EQ(window.full_in(kThree, at(30s)), 0U);
  EXPECT_EQ(window.admit(kThree, at(30s), 3), 0U);
}

TEST(FixedWindow, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (FixedWindowParams params : {FixedWindowParams{kMs, 3, 1}, FixedWindowParams{100 * kMs, 0, 7},
                                   FixedWindowParams{kMaxDepthTicks, 5, 1'000'000}}) {
    Word word;
    FixedWindow window(word);
    std::map<std::uint64_t, std::uint64_t> counts;
    std::uint64_t clock = params.length;
    const std::uint32_t highest = params.limit;
    for (int i = 0; i < 20'000 && clock < kMaxDepthTicks * 6; ++i) {
      clock += random() % 10 == 0 ? random() % params.length : random() % 3;
      const std::uint64_t now = clock - (random() % 4 == 0 ? random() % params.length : 0);  // sometimes late
      params.limit = random() % 4 != 0 ? highest : static_cast<std::uint32_t>(1 + random() % highest);
      const auto number = (now + params.length - params.origin) / params.length;
      auto& count = counts[counts.empty() ? number : std::max(number, counts.rbegin()->first)];
      const auto cost = static_cast<std::uint32_t>(1 + random() % params.limit);
      const bool expected = count + cost <= params.limit;
      const std::uint64_t wait = window.admit(params, now, cost);
      ASSERT_EQ(wait == 0, expected) << "step " << i;
      if (expected) {
        count += cost;
      } else {
        EXPECT_NE(window.wait(params, now + wait - 1, cost), 0U);
        EXPECT_EQ(window.wait(params, now + wait, cost), 0U);
      }
    }
  }
}

TEST(FixedWindow, StartsAgainFromAWindowThatNoClockReached) {
  const std::uint64_t image =
      fixed_window::pack(kThree.length, 3 + 2 * kMaxDepthTicks / kThree.length + 1, 3);
  Word word(image);
  FixedWindow window(word);
  EXPECT_EQ(window.admit(kThree, at(31s), 3), 0U);
  EXPECT_NE(window.admit(kThree, at(31s), 1), 0U) << "it admits one window's worth only";
}

TEST(FixedWindow, WhateverTheWordHoldsTheWaitIsNoLongerThanForALateClock) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100'000; ++round) {
    const std::uint64_t length = kMs + (random() >> (3 + random() % 60));
    const FixedWindowParams params{length, random() % length, static_cast<std::uint32_t>(random())};
    const std::uint64_t state = random();
    const std::uint64_t now = random() >> 1;
    const auto cost = static_cast<std::uint32_t>(1 + random() % 100);
    const std::uint64_t wait = fixed_window::wait(params, state, now, cost);
    if (wait != kNever) {
      EXPECT_LE(wait / length, 2 * kMaxDepthTicks / length + 1);
    }
    EXPECT_LE(fixed_window::debt(params, state, now) / length, 2 * kMaxDepthTicks / length + 1);
    EXPECT_LE(fixed_window::available(params, state, now), params.limit);
    (void)fixed_window::refunded(params, fixed_window::charged(params, state, now, cost), now, cost,
                                 random());
  }
}

// A request is stopped between reading the clock and charging, for however long: it may be refused, and
// nothing is forgotten.
TEST(FixedWindow, ARequestLateByAnyNumberOfWindowsForgetsNothing) {
  for (const nanoseconds length : std::initializer_list<nanoseconds>{1ms, 100ms, 10s, 3600s}) {
    const FixedWindowParams params{.length = at(length), .origin = at(length) / 3, .limit = 10};
    for (const nanoseconds late :
         std::initializer_list<nanoseconds>{100ms, 7s, 600s, 3600s, 86'400s, 86'400s * 30}) {
      Word word;
      FixedWindow window(word);
      const std::uint64_t now = at(86'400s * 40);
      ASSERT_EQ(window.admit(params, now, 10), 0U);
      EXPECT_GT(window.admit(params, now - at(late), 1), at(late)) << late.count() << " ns late";
      EXPECT_EQ(window.available(params, now - at(late)), 0U);
      window.refund(params, now - at(late), 1, now - at(late) - at(length));
      EXPECT_EQ(window.add(params, now - at(late), 1).count, 11U);
      EXPECT_EQ(window.read(params, now).count, 11U);
    }
  }
}

// Window numbers do not wrap around while a segment serves.
TEST(FixedWindow, AWindowThatIsOverNeverCountsAgain) {
  for (const nanoseconds length : std::initializer_list<nanoseconds>{1ms, 7ms, 33ms, 34ms, 3600s}) {
    const FixedWindowParams params{.length = at(length), .origin = 0, .limit = 1};
    Word word;
    FixedWindow window(word);
    ASSERT_EQ(window.admit(params, at(86'400s), 1), 0U);
    for (std::uint64_t later = at(length); later < std::uint64_t{1} << 63; later *= 2) {
      EXPECT_EQ(window.wait(params, at(86'400s) + later, 1), 0U) << length.count() << " ns, after " << later;
    }
  }
}

TEST(FixedWindow, CountsToTheHighestLimitHoweverShortTheWindow) {
  const FixedWindowParams params{.length = kMs, .origin = 0, .limit = (1U << 26) - 1};
  Word word;
  FixedWindow window(word);
  EXPECT_EQ(window.admit(params, at(3600s), (1U << 26) - 1), 0U);
  EXPECT_EQ(window.admit(params, at(3600s), 1), kMs);
}

TEST(FixedWindow, ZeroedMemoryIsAnEmptyWindow) {
  Word word;
  FixedWindow window(word);
  EXPECT_EQ(window.admit(kThree, 0, 3), 0U);
  EXPECT_NE(window.admit(kThree, 0, 1), 0U);
}

}  // namespace
}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "primitives/user_window.hpp"

#include <chrono>
#include <deque>
#include <gtest/gtest.h>
#include <initializer_list>
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

// A state and its parameters.
struct User {
  WindowParams params;
  std::uint64_t state = 0;

  [[nodiscard]] std::uint64_t wait(std::uint64_t now, std::uint32_t cost) const {
    return user_window::wait(params, state, now, cost);
  }
  std::uint64_t admit(std::uint64_t now, std::uint32_t cost) {
    const std::uint64_t wait = this->wait(now, cost);
    if (wait == 0) state = user_window::charged(params, state, now, cost);
    return wait;
  }
  void refund(std::uint64_t now, std::uint32_t cost, std::uint64_t charged_at) {
    state = user_window::refunded(params, state, now, cost, charged_at);
  }
  [[nodiscard]] std::uint32_t available(std::uint64_t now) const {
    return user_window::available(params, state, now);
  }
  [[nodiscard]] std::uint64_t debt(std::uint64_t now) const { return user_window::debt(params, state, now); }
};

constexpr WindowParams kFourInTen{.length = ticks_from_ns(10'000'000'000), .limit = 4};

struct Step {
  nanoseconds time;
  std::uint32_t cost;
  nanoseconds wait;  // 0: admitted; -1: never
};

void expect_timeline(WindowParams params, std::initializer_list<Step> steps) {
  User user{params};
  for (const Step& step : steps) {
    const auto expected = step.wait.count() < 0 ? kNever : at(step.wait);
    EXPECT_EQ(user.admit(at(step.time), step.cost), expected)
        << "at " << step.time.count() << " ns, cost " << step.cost;
  }
}

TEST(UserWindow, WeighsThePreviousWindowByItsRemainingShare) {
  expect_timeline(kFourInTen, {
                                  {28s, 4, 0s},
                                  {28s, 1, 4'500ms},  // at 32.5 s the four count as three
                                  {28s, 5, nanoseconds(-1)},
                                  {32'499ms, 1, 1ms},
                                  {32'500ms, 1, 0s},
                                  {32'500ms, 1, 2'500ms},
                                  {32'500ms, 4, 17'500ms},  // the one of this epoch must be forgotten, too
                                  {39s, 2, 0s},
                                  {50s, 4, 0s},
                              });
}

TEST(UserWindow, ALimitOfOneIsExact) {
  expect_timeline({.length = at(10s), .limit = 1},
                  {{28s, 1, 0s}, {28s, 1, 12s}, {39'999ms, 1, 1ms}, {40s, 1, 0s}});
}

TEST(UserWindow, RetryAfterIsExactToTheTick) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t length = kMs + (random() >> (3 + random() % 60));
    const auto limit = static_cast<std::uint32_t>(1 + random() % user_window::max_limit(length));
    User user{{.length = length, .limit = limit}};
    std::uint64_t now = random() >> 2;
    for (int i = 0; i < 8; ++i) {
      const auto cost = static_cast<std::uint32_t>(1 + random() % limit);
      const std::uint64_t wait = user.admit(now, cost);
      if (wait != 0) {
        ASSERT_LE(wait, 2 * length);
        EXPECT_NE(user.wait(now + wait - 1, cost), 0U);
        EXPECT_EQ(user.wait(now + wait, cost), 0U);
      }
      now += random() % (length / 2 + 1);
    }
  }
}

// A request is stopped between reading the clock and charging, for however long: it may be refused, and
// nothing is forgotten.
TEST(UserWindow, ARequestLateByAnyNumberOfWindowsForgetsNothing) {
  for (const nanoseconds length : std::initializer_list<nanoseconds>{1ms, 100ms, 10s, 3600s}) {
    const WindowParams params{.length = at(length), .limit = 10};
    for (const nanoseconds late :
         std::initializer_list<nanoseconds>{100ms, 7s, 600s, 3600s, 86'400s, 86'400s * 30}) {
      User user{params};
      const std::uint64_t now = at(86'400s * 40);
      ASSERT_EQ(user.admit(now, 10), 0U);
      const std::uint64_t before = user.state;
      EXPECT_GE(user.admit(now - at(late), 1), at(late)) << late.count() << " ns late";
      EXPECT_EQ(user.available(now - at(late)), 0U);
      EXPECT_GE(user.debt(now - at(late)), at(late));
      user.refund(now - at(late), 1, now - at(late));
      EXPECT_EQ(user.state, before) << "a late refund gives back only its own";
      user.state = user_window::charged(params, user.state, now - at(late), 5);
      EXPECT_EQ(user.available(now), 0U);
    }
  }
}

TEST(UserWindow, ALateClockReadingNeverForgetsACount) {
  User user{kFourInTen};
  ASSERT_EQ(user.admit(at(30s), 4), 0U);
  EXPECT_EQ(user.wait(at(29s), 1), at(13'500ms));
  EXPECT_EQ(user.wait(at(30s), 1), at(12'500ms));
  EXPECT_NE(user.admit(at(1s), 1), 0U);
  ASSERT_EQ(user.admit(at(50s), 1), 0U);
  ASSERT_EQ(user.admit(at(49s), 3), 0U);  // counted in the newest epoch
  EXPECT_EQ(user.available(at(50s)), 0U);
}

TEST(UserWindow, RefundsWhatWasCountedAndNeverMore) {
  User user{kFourInTen};
  ASSERT_EQ(user.admit(at(20s), 3), 0U);
  user.refund(at(21s), 2, at(20s));
  EXPECT_EQ(user.available(at(21s)), 3U);
  ASSERT_EQ(user.admit(at(30s), 1), 0U);
  user.refund(at(31s), 1, at(20s));  // from the previous epoch
  EXPECT_EQ(user.available(at(30s)), 3U);
  user.refund(at(31s), 1'000'000, at(30s));
  EXPECT_EQ(user.available(at(31s)), 4U);
  EXPECT_EQ(user.debt(at(31s)), 0U);
  ASSERT_EQ(user.admit(at(50s), 2), 0U);
  user.refund(at(50s), 2, at(20s));  // long forgotten
  EXPECT_EQ(user.available(at(50s)), 2U);
}

TEST(UserWindow, IsAtRestWhenItCountsNothing) {
  User user{kFourInTen};
  EXPECT_EQ(user.debt(at(20s)), 0U);
  ASSERT_EQ(user.admit(at(21s), 1), 0U);
  EXPECT_EQ(user.debt(at(21s)), at(19s));
  EXPECT_EQ(user.debt(at(39s)), at(1s));
  EXPECT_EQ(user.debt(at(40s)), 0U);
  EXPECT_EQ(user.debt(at(19s)), at(21s));  // not sooner for a late clock
}

TEST(UserWindow, AtRestEqualsNeverSeen) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 10'000; ++round) {
    User user{{.length = 1000 * kMs, .limit = 10}};
    std::uint64_t now = (100'000 + random() % 10'000) * kMs;
    for (int i = 0; i < 5; ++i)
      user.admit(now += random() % (600 * kMs), static_cast<std::uint32_t>(1 + random() % 9));
    const std::uint64_t rest = user.debt(now);
    EXPECT_EQ(user.debt(now + rest), 0U);
    EXPECT_EQ(user.wait(now + rest, 10), 0U);
    EXPECT_EQ(user.available(now + rest), 10U);
    EXPECT_EQ(user_window::debt(user.params, user_window::at_rest(user.params, now), now), 0U);
  }
}

// The oracle: a count for each epoch, and the weight as in the formula.
TEST(UserWindow, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const WindowParams params : {WindowParams{kMs, 1}, WindowParams{10 * kMs, 3},
                                    WindowParams{97 * kMs + 1, 50}, WindowParams{1'000 * kMs, 1000}}) {
    User user{params};
    std::deque<std::uint64_t> counts(1);
    std::uint64_t now = 0;
    for (int i = 0; i < 20'000; ++i) {
      now += random() % 4 == 0 ? random() % params.length : random() % (params.length / 5);
      const std::uint64_t epoch = now / params.length;
      if (counts.size() <= epoch) counts.resize(epoch + 1);
      const std::uint64_t before = epoch > 0 ? counts[epoch - 1] : 0;
      const std::uint64_t limit = random() % 5 != 0 ? params.limit : 1 + random() % params.limit;  // lowered
      const auto cost = 1 + random() % limit;
      user.params.limit = static_cast<std::uint32_t>(limit);
      const bool expected =
          before * (params.length - now % params.length) + (counts[epoch] + cost) * params.length <=
          limit * params.length;
      ASSERT_EQ(user.available(now) >= cost, expected) << "step " << i;
      ASSERT_EQ(user.admit(now, static_cast<std::uint32_t>(cost)) == 0, expected) << "step " << i;
      counts[epoch] += expected ? cost : 0;
    }
  }
}

// The largest number of admissions that any window of `length` held.
std::size_t fullest_window(const std::deque<std::uint64_t>& times, std::uint64_t length) {
  std::size_t most = 0;
  for (std::size_t first = 0, last = 0; last < times.size(); ++last) {
    while (times[first] + length <= times[last]) ++first;
    most = std::max(most, last - first + 1);
  }
  return most;
}

TEST(UserWindow, NoWindowHoldsTwiceTheLimitAndABurstAtTheEndComesClose) {
  constexpr WindowParams params{.length = 1000 * kMs, .limit = 20};
  User user{params};
  std::deque<std::uint64_t> times;
  for (std::uint64_t now = 1999 * kMs; now < 5000 * kMs;
       now += kMs) {  // a burst at the end of an epoch, then everything that passes
    while (user.admit(now, 1) == 0) times.push_back(now);
  }
  EXPECT_EQ(fullest_window(times, params.length), 2 * params.limit - 1);
}

TEST(UserWindow, StaysWithinItsBoundUnderAnyLoad) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::uint32_t limit : {1U, 2U, 5U, 30U}) {
    User user{{.length = 1000 * kMs, .limit = limit}};
    std::deque<std::uint64_t> times;
    std::deque<std::uint32_t> aligned;
    for (std::uint64_t now = 0; now < 1'000'000; now += random() % (random() % 3 == 0 ? 700 : 10)) {
      if (user.admit(now * kMs, 1) != 0) continue;
      times.push_back(now);
      if (aligned.size() <= now / 1000) aligned.resize(now / 1000 + 1);
      ASSERT_LE(++aligned[now / 1000], limit);
    }
    EXPECT_LE(fullest_window(times, 1000), 2 * limit - 1);
  }
}

TEST(UserWindow, CountsToItsLastBitAndSaturates) {
  for (const std::uint64_t length : {kMs, 999 * kMs, at(8s), at(9s), kMaxDepthTicks}) {
    const std::uint32_t most = user_window::max_limit(length);
    User user{{.length = length, .limit = most}};
    const std::uint64_t now = ~std::uint64_t{0} / 4 / length * length + 5;
    EXPECT_EQ(user.admit(now, most + 1), kNever);
    ASSERT_EQ(user.admit(now, most), 0U);
    EXPECT_EQ(user.admit(now, most), 2 * length - 5);
    user.state = user_window::charged(user.params, user.state, now, ~0U);
    EXPECT_EQ(user.available(now), 0U);
    EXPECT_EQ(user.wait(now - 5 + length, 1), length / most + 1);
  }
  EXPECT_EQ(user_window::max_limit(at(9s)), (1U << 20) - 1);
  EXPECT_EQ(user_window::max_limit(kMs), 8191U);
}

TEST(UserWindow, StartsAgainFromAnEpochThatNoClockReached) {
  User user{kFourInTen};
  const std::uint64_t length = kFourInTen.length;
  user.state = user_window::pack(length, 3 + 2 * kMaxDepthTicks / length + 1, 4, 4);
  EXPECT_EQ(user.admit(at(31s), 4), 0U);
  EXPECT_NE(user.admit(at(31s), 1), 0U) << "it admits one window's worth only";
}

TEST(UserWindow, WhateverTheStateHoldsTheWaitIsNoLongerThanForALateClock) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100'000; ++round) {
    User user{{.length = kMs + (random() >> (3 + random() % 60)),
               .limit = static_cast<std::uint32_t>(random() >> 40)}};
    user.state = random();
    const std::uint64_t now = random() >> 1;
    const auto cost = static_cast<std::uint32_t>(1 + random() % 100);
    const std::uint64_t wait = user.admit(now, cost);
    if (wait != kNever) {
      EXPECT_LE(wait / user.params.length, 2 * kMaxDepthTicks / user.params.length + 2);
    }
    EXPECT_LE(user.debt(now) / user.params.length, 2 * kMaxDepthTicks / user.params.length + 2);
    user.refund(now, cost, random());
    EXPECT_LE(user.available(now), user_window::max_limit(user.params.length));
  }
}

// Epoch numbers do not wrap around while a segment serves: the counts of two windows ago are gone for good.
TEST(UserWindow, AWindowTwoLengthsAgoNeverCountsAgain) {
  for (const nanoseconds length : std::initializer_list<nanoseconds>{1ms, 7ms, 1s, 8s, 3600s}) {
    User user{{.length = at(length), .limit = 2}};
    ASSERT_EQ(user.admit(at(86'400s), 2), 0U);
    for (std::uint64_t later = 2 * at(length); later < std::uint64_t{1} << 63; later *= 2) {
      EXPECT_EQ(user.wait(at(86'400s) + later, 2), 0U) << length.count() << " ns, after " << later;
      EXPECT_EQ(user.debt(at(86'400s) + later), 0U);
    }
  }
}

TEST(UserWindow, AZeroStateIsNeverSeen) {
  EXPECT_EQ(user_window::wait(kFourInTen, 0, 0, 4), 0U);
  EXPECT_EQ(user_window::debt(kFourInTen, 0, 0), 0U);
}

}  // namespace
}  // namespace weir::detail

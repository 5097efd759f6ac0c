// SPDX-License-Identifier: Apache-2.0

// The times of a breaker: how long it stays open, and when it may be asked again.

#include "primitives/breaker_phase.hpp"

#include <array>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <set>

#include "support/breakers.hpp"

namespace weir::test {
namespace {

using enum BreakerOutcome;

TEST(BreakerPhase, StaysOpenLongerWithEachTripInARowUpToItsMaximum) {
  BreakerParams params = kThreeInARow;
  params.factor = 250;
  params.max_recovery = at(100s);
  BreakerHost host(params);
  host.trip(1s);
  nanoseconds now = 1s;
  std::uint8_t trips = 1;
  for (const nanoseconds recovery : {30'000ms, 75'000ms, 100'000ms, 100'000ms}) {
    EXPECT_TRUE(is_recovery(host.admit(now), recovery));
    EXPECT_EQ(host.status(now).trips, trips++);
    now += recovery + 1s;
    host.call(now, failure);
    EXPECT_EQ(host.last.trips, trips);
    EXPECT_EQ(host.last.until, at(now) + host.status(now).wait);
  }
  for (int i = 0; i < 40; ++i) host.call(now += 101s, failure);
  EXPECT_EQ(host.status(now).trips, 31) << "the number stays at its maximum";
  host.call(now += 101s, success);
  host.trip(now);
  EXPECT_TRUE(is_recovery(host.admit(now), 30s)) << "it had closed in between";
}

TEST(BreakerPhase, JitterOnlyLengthensAndIsTheSameForTheSameSeed) {
  BreakerParams params = kThreeInARow;
  params.jitter = 2'000;
  std::set<std::uint64_t> waits;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    params.seed = seed;
    std::array<std::uint64_t, 2> twice{};
    for (std::uint64_t& wait : twice) {
      BreakerHost host(params);
      host.trip(1s);
      wait = host.admit(1s);
    }
    EXPECT_EQ(twice[0], twice[1]);
    EXPECT_GE(twice[0], at(30s));
    EXPECT_LE(twice[0], at(36s));
    waits.insert(twice[0]);
  }
  EXPECT_GT(waits.size(), 60U);
  EXPECT_LT(*waits.begin(), at(31s));
  EXPECT_GT(*waits.rbegin(), at(35s));
}

// A caller that is told 30.000001 seconds says "Retry-After: 31".
TEST(BreakerPhase, ARecoveryNeverLastsLongerThanItsLength) {
  for (const std::uint64_t now : {std::uint64_t{0}, std::uint64_t{1}, kUnit - 1, kUnit, at(1s) + 1}) {
    for (const std::uint64_t ticks :
         {std::uint64_t{1}, kUnit, kUnit + 1, at(1s), at(30s), detail::kMaxBreakerTicks}) {
      const std::uint64_t left =
          detail::breaker_time::left(detail::breaker_time::end_of_recovery(now, ticks), now);
      EXPECT_LE(left, ticks) << now;
      EXPECT_GT(left + kUnit, ticks) << now;
    }
  }
}

TEST(BreakerPhase, TheLongestLegalTimesDoNotOverflow) {
  const BreakerParams params{.factor = 10'000,
                             .jitter = 10'000,
                             .recovery = detail::kMaxBreakerTicks,
                             .max_recovery = std::numeric_limits<std::uint64_t>::max()};
  for (std::uint32_t trips = 1; trips <= 31; ++trips) {
    const std::uint64_t ticks = detail::breaker_time::recovery(params, trips, trips);
    EXPECT_GE(ticks, detail::kMaxBreakerTicks);
    EXPECT_LE(ticks, 2 * detail::kMaxBreakerTicks);
  }
  BreakerParams growing = params;
  growing.recovery = 1;
  std::uint64_t before = 0;
  for (std::uint32_t trips = 1; trips <= 31; ++trips) {
    growing.jitter = 0;
    const std::uint64_t ticks = detail::breaker_time::recovery(growing, trips, 0);
    EXPECT_TRUE(ticks > before || ticks == detail::kMaxBreakerTicks);
    before = ticks;
  }
}

TEST(BreakerPhase, ALateClockReadingIsRefusedForLonger) {
  BreakerHost host(kThreeInARow);
  host.trip(100s);
  EXPECT_TRUE(is_recovery(host.admit(90s), 40s));
  EXPECT_TRUE(is_recovery(host.admit(1s), 129s));
  ASSERT_EQ(host.admit(140s), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(1s), 149s));
}

TEST(BreakerPhase, RetryAfterIsExactToTheNanosecond) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 1000; ++round) {
    BreakerParams params = kThreeInARow;
    params.jitter = 5'000;
    params.seed = random();
    params.probe_timeout = at(nanoseconds(1 + random() % 10'000'000'000));
    BreakerHost host(params);
    const nanoseconds start(1'000'000'000 + random() % 1'000'000'000);
    host.trip(start);
    nanoseconds now = start;
    for (int turn = 0; turn < 2; ++turn) {  // once while open, once while half-open with the probe out
      const nanoseconds wait(detail::ns_from_ticks(host.admit(now)));
      EXPECT_NE(host.breaker.check(params, at(now + wait - 1ns)).wait, 0U);
      now += wait;
      EXPECT_EQ(host.admit(now), 0U);
    }
  }
}

}  // namespace
}  // namespace weir::test

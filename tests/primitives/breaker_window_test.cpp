// SPDX-License-Identifier: Apache-2.0

// The window by which a breaker judges rates of failures and of slow calls.

#include "primitives/breaker_window.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <initializer_list>

#include "support/breakers.hpp"

namespace weir::test {
namespace {

using enum BreakerOutcome;

TEST(BreakerWindow, TripsOnAFailureRateOnceThereAreEnoughCalls) {
  BreakerHost host(kHalfOfTenSeconds);
  for (int i = 0; i < 5; ++i) host.call(20s, failure);
  for (int i = 0; i < 4; ++i) host.call(21s, success);
  ASSERT_EQ(host.kind(21s), kClosed) << "nine calls are too few to judge";
  EXPECT_EQ(host.status(21s).window, (BreakerCounts{9, 5, 0}));
  host.call(22s, success);
  EXPECT_EQ(host.last.to, kOpen) << "five of ten failed, although the tenth succeeded";
}

TEST(BreakerWindow, ForgetsOutcomesOlderThanItsTimeWindow) {
  BreakerHost host(kHalfOfTenSeconds);
  for (int i = 0; i < 9; ++i) host.call(20s, failure);
  host.call(30s, failure);
  EXPECT_EQ(host.kind(30s), kClosed);
  EXPECT_EQ(host.status(30s).window, (BreakerCounts{1, 1, 0}));
  for (int i = 0; i < 9; ++i) host.call(39s, failure);
  EXPECT_EQ(host.kind(39s), kOpen) << "nine seconds back is inside";
}

// Two generations lie within one tenth of the window.
TEST(BreakerWindow, StartsWithAnEmptyWindowAfterItClosed) {
  for (const bool by_time : {true, false}) {
    BreakerParams params = kHalfOfTenSeconds;
    params.recovery = at(10ms);
    if (!by_time) params.window = 0, params.window_calls = 20;
    BreakerHost host(params);
    host.trip(20s);
    host.call(20s + 20ms, success);
    ASSERT_EQ(host.kind(20s + 20ms), kClosed);
    EXPECT_EQ(host.status(20s + 20ms).window, BreakerCounts{});
    for (int i = 0; i < 9; ++i) host.call(20s + 30ms, failure);
    EXPECT_EQ(host.kind(20s + 30ms), kClosed);
    host.call(20s + 30ms, failure);
    EXPECT_EQ(host.kind(20s + 30ms), kOpen);
  }
}

TEST(BreakerWindow, TripsOnSlowCallsAndASlowProbeIsABadOne) {
  BreakerParams params = kHalfOfTenSeconds;
  params.failure_rate = 0;
  params.slow_rate = 3'000;
  params.slow_call = at(1s);
  BreakerHost host(params);
  for (int i = 0; i < 7; ++i) host.call(20s, i % 2 == 0 ? failure : success, 1s);
  for (int i = 0; i < 2; ++i) host.call(20s, success, 1s + 1ns);
  ASSERT_EQ(host.kind(20s), kClosed);
  host.call(20s, success, 2s);
  ASSERT_EQ(host.last.to, kOpen);
  host.call(60s, success, 2s);
  EXPECT_EQ(host.last.to, kOpen);
  host.call(100s, success, 1s);
  EXPECT_EQ(host.last.to, kClosed);
}

TEST(BreakerWindow, CountsInTheWindowWithoutTrippingInMetricsOnly) {
  BreakerHost host(kHalfOfTenSeconds);
  host.breaker.set(BreakerKind::metrics_only);
  for (int i = 0; i < 30; ++i) host.call(20s, failure);
  EXPECT_EQ(host.status(20s).window, (BreakerCounts{30, 30, 0}));
  EXPECT_EQ(host.kind(20s), BreakerKind::metrics_only);
}

TEST(BreakerWindow, AFullCellIsHalvedAndKeepsItsRates) {
  BreakerHost host(kHalfOfTenSeconds);
  for (std::uint32_t i = 0; i < detail::BreakerWindow::kFull + 1000; ++i) {
    (void)host.breaker.report(host.params, {}, i % 4 == 0 ? failure : success, 0, at(20s));
  }
  const BreakerCounts counts = host.status(20s).window;
  EXPECT_GT(counts.calls, detail::BreakerWindow::kFull / 2);
  EXPECT_LE(counts.calls, detail::BreakerWindow::kFull / 2 + 1001);
  EXPECT_NEAR(counts.failures, counts.calls / 4, 1);
}

// A block number at the end of its field, higher than any breaker counts: it must not spin.
TEST(BreakerWindow, ACountWindowOfAbsurdBlocksStillCounts) {
  for (const std::uint64_t epoch :
       {(std::uint64_t{1} << 52) - 1, (std::uint64_t{1} << 48) - 1, std::uint64_t{1} << 48}) {
    BreakerParams params = kHalfOfTenSeconds;
    params.window = 0;
    params.window_calls = 20;
    BreakerHost host(params);
    auto image = host.image();
    const std::size_t window = sizeof(CircuitBreaker) / 8 - 24;
    for (std::uint64_t i = 0; i < 10; ++i) {
      image[window + 2 * i] = epoch - (epoch + 10 - i) % 10;
      image[window + 2 * i + 1] = 2;
    }
    std::memcpy(static_cast<void*>(&host.breaker), image.data(), sizeof image);
    for (int i = 0; i < 100; ++i) host.call(1s, success);
    host.breaker.reset();
    host.trip(1s);
  }
}

// A call is stopped between reading the clock and counting, for however long: its outcome is lost, and
// nothing else.
TEST(BreakerWindow, ALateOutcomeMakesTheWindowForgetNothing) {
  for (const nanoseconds late : std::initializer_list<nanoseconds>{10s, 20s, 60s, 3600s, 86'400s}) {
    BreakerHost host(kHalfOfTenSeconds);
    ASSERT_EQ(host.admit(100'000s - late), 0U);
    for (int i = 0; i < 9; ++i) host.call(100'000s, failure);
    const BreakerCounts before = host.status(100'000s).window;
    EXPECT_EQ(before.failures, 9U);
    host.report(100'000s - late, success);
    EXPECT_GE(host.status(100'000s).window.failures, before.failures) << late.count() << " ns late";
    host.call(100'000s, failure);
    EXPECT_EQ(host.kind(100'000s), BreakerKind::open);
  }
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0

// The state of a breaker: what trips it, what closes it, and what operators do to it.

#include "primitives/breaker.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "support/breakers.hpp"

namespace weir::test {
namespace {

using enum BreakerOutcome;

TEST(Breaker, TripsOnFailuresInARowAndClosesAfterAGoodProbe) {
  expect_timeline(kThreeInARow, {
                                    {1s, Do::call, failure, kClosed},
                                    {2s, Do::call, failure, kClosed},
                                    {3s, Do::call, success, kClosed},  // this resets the count
                                    {4s, Do::call, failure, kClosed},
                                    {5s, Do::call, ignored, kClosed},  // this resets nothing
                                    {6s, Do::call, failure, kClosed},
                                    {7s, Do::call, failure, kOpen},
                                    {7s, Do::admit, ignored, kOpen, 30s},
                                    {36'999ms, Do::admit, ignored, kOpen, 1ms},
                                    {38s, Do::admit, ignored, kHalfOpen},
                                    {38s, Do::admit, ignored, kHalfOpen, 10s},  // only one probe at a time
                                    {40s, Do::admit, ignored, kHalfOpen, 8s},
                                    {41s, Do::report, success, kClosed},
                                    {41s, Do::call, failure, kClosed},
                                    {41s, Do::call, failure, kClosed},  // the old count is over
                                    {41s, Do::call, failure, kOpen},
                                });
}

TEST(Breaker, LateOutcomesOfAnEarlierGenerationDoNotCount) {
  BreakerHost host(kThreeInARow);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(host.admit(1s), 0U);
  for (int i = 0; i < 3; ++i) host.report(2s, failure);
  ASSERT_EQ(host.kind(2s), kOpen);
  host.report(2s, success);
  EXPECT_FALSE(host.last);
  std::swap(host.tickets.front(), host.tickets.back());
  ASSERT_EQ(host.admit(40s), 0U);
  std::swap(host.tickets.front(), host.tickets.back());
  host.report(41s, success);
  ASSERT_EQ(host.kind(41s), kClosed);
  for (int i = 0; i < 6; ++i) host.report(42s, failure);
  EXPECT_EQ(host.kind(42s), kClosed);
  EXPECT_EQ(host.status(42s).consecutive, 0U);
}

TEST(Breaker, ForcedStatesDoWhatTheySay) {
  BreakerHost host(kThreeInARow);
  const auto set = [&](BreakerKind kind) {
    const BreakerTransition done = host.breaker.set(kind);
    EXPECT_TRUE(done);
    EXPECT_EQ(done.to, kind);
    host.tickets.clear();
  };
  set(BreakerKind::forced_open);
  EXPECT_EQ(host.admit(1s), detail::kNever);
  EXPECT_EQ(host.admit(1000h), detail::kNever);
  for (const BreakerKind kind : {BreakerKind::forced_closed, BreakerKind::metrics_only}) {
    set(kind);
    for (int i = 0; i < 10; ++i) host.call(2s, failure);
    EXPECT_EQ(host.kind(2s), kind);
    EXPECT_EQ(host.status(2s).consecutive, 10U) << "it counts";
    host.call(2s, success);
    EXPECT_EQ(host.status(2s).consecutive, 0U);
  }
  set(BreakerKind::disabled);
  for (int i = 0; i < 10; ++i) host.call(3s, failure);
  EXPECT_EQ(host.kind(3s), BreakerKind::disabled);
  EXPECT_EQ(host.status(3s).consecutive, 0U) << "it counts nothing";
  host.breaker.reset();
  EXPECT_EQ(host.status(3s).consecutive, 0U);
  host.trip(4s);
  EXPECT_EQ(host.breaker.set(BreakerKind::half_open).from, kOpen);
  host.call(4s, success);
  EXPECT_EQ(host.kind(4s), kClosed);
  set(BreakerKind::open);
  EXPECT_EQ(host.admit(4s), 0U) << "as a probe";
  EXPECT_EQ(host.last.to, kHalfOpen);
}

TEST(Breaker, ASuccessWithNoFailuresCountedWritesNothing) {
  BreakerHost host(kThreeInARow);
  const auto before = host.image();
  for (int i = 0; i < 3; ++i) host.call(1s, success);
  EXPECT_EQ(host.image(), before);
}

TEST(Breaker, ZeroedMemoryIsAClosedBreaker) {
  BreakerHost host(kThreeInARow);
  host.trip(1s);
  std::memset(static_cast<void*>(&host.breaker), 0, sizeof host.breaker);
  EXPECT_EQ(host.status(0s).kind, kClosed);
  EXPECT_EQ(host.status(0s).generation, 0);
  EXPECT_EQ(host.status(0s).consecutive, 0U);
  host.trip(0s);
  EXPECT_TRUE(is_recovery(host.admit(0s), 30s));
}

// Whatever the words hold: no hang, no fault, waits in bounds, never more probes than cells; and set()
// repairs it.
TEST(Breaker, StaysInBoundsAndFinishesOverAnyBytes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    BreakerParams params = round % 2 == 0 ? kHalfOfTenSeconds : kThreeInARow;
    if (round % 4 == 0) params.window = 0, params.window_calls = static_cast<std::uint32_t>(random() % 50);
    params.consecutive = 3;
    params.probes = static_cast<std::uint32_t>(random() % 20);
    BreakerHost host(params);
    std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> image{};
    for (std::uint64_t& word : image) {
      const std::uint64_t any = random();
      word = random() % 3 == 0 ? 0 : random() % 3 == 0 ? any : any >> (random() % 64);
    }
    std::memcpy(static_cast<void*>(&host.breaker), image.data(), sizeof image);
    std::uint32_t probes = 0;
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t wait = host.admit(5s + i * 1ns);
      EXPECT_TRUE(wait == detail::kNever || wait <= 4 * detail::kMaxBreakerTicks);
      probes += wait == 0 && host.tickets.back().probe != 0 ? 1 : 0;
      ASSERT_TRUE(i > 20 || probes <= detail::kMaxProbes);
      if (i > 20 && !host.tickets.empty()) host.report(6s, static_cast<BreakerOutcome>(random() % 3), 1s);
    }
    const BreakerTicket forged{random(), static_cast<std::uint16_t>(random()),
                               static_cast<std::uint8_t>(random())};
    (void)host.breaker.report(params, forged, failure, random(), random());
    (void)host.breaker.status(params, random());
    (void)host.breaker.reclaim([](Owner owner) { return owner.slot() % 2 == 0; });

    host.tickets.clear();
    host.breaker.reset();
    host.trip(7s);
    EXPECT_TRUE(is_recovery(host.admit(7s), 30s));
  }
}

}  // namespace
}  // namespace weir::test

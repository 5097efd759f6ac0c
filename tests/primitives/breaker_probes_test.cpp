// SPDX-License-Identifier: Apache-2.0

// The probes of a half-open breaker.

#include "primitives/breaker_probes.hpp"

#include <gtest/gtest.h>
#include <utility>

#include "support/breakers.hpp"

namespace weir::test {
namespace {

using enum BreakerOutcome;

TEST(BreakerProbes, AFailedProbeOpensItAgain) {
  expect_timeline(kThreeInARow, {
                                    {1s, Do::call, failure, kClosed},
                                    {1s, Do::call, failure, kClosed},
                                    {1s, Do::call, failure, kOpen},
                                    {32s, Do::admit, ignored, kHalfOpen},
                                    {35s, Do::report, failure, kOpen},
                                    {35s, Do::admit, ignored, kOpen, 30s},
                                    {66s, Do::call, ignored, kHalfOpen},  // its cell is free again
                                    {66s, Do::call, success, kClosed},
                                });
}

// resilience4j #544, #935; Semian #244.
TEST(BreakerProbes, AProbeThatNeverReportsLosesItsCellAtItsDeadline) {
  expect_timeline(kThreeInARow,
                  {
                      {1s, Do::call, failure, kClosed},
                      {1s, Do::call, failure, kClosed},
                      {1s, Do::call, failure, kOpen},
                      {32s, Do::admit, ignored, kHalfOpen},
                      {41'999ms, Do::admit, ignored, kHalfOpen, 1ms},
                      {43s, Do::admit, ignored, kHalfOpen},
                      {44s, Do::report, failure, kHalfOpen},  // the late probe: its cell has been taken again
                      {44s, Do::admit, ignored, kHalfOpen, 9s},
                      {45s, Do::report, success, kClosed},
                  });
}

TEST(BreakerProbes, LetsExactlyTheAllowedProbesThroughAndClosesAfterEnoughGoodOnes) {
  BreakerParams params = kThreeInARow;
  params.probes = 3;
  params.successes = 4;
  BreakerHost host(params);
  host.trip(1s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(host.admit(40s + i * 1s, i == 1 ? kBob : kAlice), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(43s), 7s)) << "until the earliest deadline";
  EXPECT_EQ(host.status(43s).probes_out, 3U);
  for (std::uint64_t good = 1; good <= 3; ++good) {
    host.report(44s, success);
    EXPECT_FALSE(host.last) << "a good probe that does not close it is not a transition";
    EXPECT_EQ(host.status(44s).good_probes, good);
  }
  host.call(45s, success);
  EXPECT_EQ(host.last.to, kClosed);
}

TEST(BreakerProbes, AfterAChangeToFewerProbesTheProbesThatAreOutCount) {
  BreakerParams params = kThreeInARow;
  params.probes = 4;
  params.successes = 100;
  BreakerHost host(params);
  host.trip(1s);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(host.admit(40s + i * 1s), 0U);
  host.params.probes = 2;
  EXPECT_TRUE(is_probe_timeout(host.admit(43s), 9s)) << "until three of the four have lost their cells";
  host.report(44s, ignored);
  std::swap(host.tickets[0], host.tickets[1]);
  host.report(44s, ignored);
  EXPECT_TRUE(is_probe_timeout(host.admit(44s), 7s))
      << "two are out, one of them in a cell above the new number";
  host.report(45s, ignored);
  ASSERT_EQ(host.status(45s).probes_out, 1U);
  EXPECT_EQ(host.admit(45s), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(45s), 8s));
  host.params.probes = 3;
  EXPECT_EQ(host.admit(45s), 0U) << "one more probe may go out";
  EXPECT_NE(host.admit(45s), 0U);
}

TEST(BreakerProbes, AProbeOfTheLastHalfOpenTimeKeepsItsCell) {
  BreakerParams params = kThreeInARow;
  params.probes = 2;
  params.recovery = at(1s);
  BreakerHost host(params);
  host.trip(1s);
  ASSERT_EQ(host.admit(5s), 0U);
  ASSERT_EQ(host.admit(5s), 0U);
  host.report(6s, failure);
  ASSERT_EQ(host.kind(6s), kOpen);
  ASSERT_EQ(host.admit(8s), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(8s), 7s)) << "two are out, whichever time they are of";
  host.report(9s, failure);
  EXPECT_FALSE(host.last) << "it is late: its generation is over";
  EXPECT_EQ(host.admit(9s), 0U) << "its cell is free";
}

TEST(BreakerProbes, AProbeOfADeadWorkerIsReclaimedAndOthersStay) {
  BreakerParams params = kThreeInARow;
  params.probes = 3;
  BreakerHost host(params);
  host.trip(1s);
  for (const Owner owner : {kAlice, kBob, kAlice}) ASSERT_EQ(host.admit(40s, owner), 0U);
  const auto alice = [](Owner owner) { return owner == kAlice; };
  EXPECT_EQ(host.breaker.reclaim(alice), 2U);
  EXPECT_EQ(host.breaker.reclaim(alice), 0U) << "a second reclaim frees nothing";
  EXPECT_EQ(host.status(40s).probes_out, 1U);
  host.report(41s, success);
  EXPECT_EQ(host.kind(41s), kHalfOpen) << "the reclaimed probe does not count";
  EXPECT_EQ(host.admit(41s), 0U);
  EXPECT_EQ(host.admit(41s), 0U);
  EXPECT_NE(host.admit(41s), 0U);
}

// A probe whose timeout is over has no effect any more, even if its cell was not taken again.
TEST(BreakerProbes, AProbeThatReportsAfterItsTimeoutNeitherClosesNorTrips) {
  for (const BreakerOutcome outcome : {success, failure}) {
    BreakerHost host(kThreeInARow);
    host.trip(0s);
    ASSERT_EQ(host.admit(31s), 0U);
    const BreakerReading before = host.status(41s + 1ms);
    EXPECT_EQ(before.probes_out, 0U);
    host.report(41s + 1ms, outcome);
    EXPECT_FALSE(host.last);
    EXPECT_EQ(host.kind(41s + 1ms), BreakerKind::half_open);
    EXPECT_EQ(host.status(41s + 1ms).generation, before.generation);
    // The next call is the probe, and its report counts.
    host.call(42s, outcome);
    EXPECT_EQ(host.kind(42s), outcome == success ? BreakerKind::closed : BreakerKind::open);
  }
}

TEST(BreakerProbes, AProbeThatReportsJustInTimeCounts) {
  BreakerHost host(kThreeInARow);
  host.trip(0s);
  ASSERT_EQ(host.admit(31s), 0U);
  host.report(41s - 1ns, success);
  EXPECT_EQ(host.kind(41s), BreakerKind::closed);
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#include "primitives/breaker.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/ticks.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using enum BreakerOutcome;

constexpr Owner kAlice(0, 1);
constexpr Owner kBob(4094, 255);

constexpr std::uint64_t at(nanoseconds time) {
  return ticks_from_ns(static_cast<std::uint64_t>(time.count()));
}

// The end of a recovery is rounded down to 2^20 ticks, and the deadline of a probe up: a wait may be that much
// shorter, or longer.
constexpr std::uint64_t kUnit = std::uint64_t{1} << breaker_time::kUnitShift;
::testing::AssertionResult lies_within(std::uint64_t wait, std::uint64_t least, std::uint64_t most) {
  if (wait >= least && wait <= most) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "waits " << ns_from_ticks(wait) << " ns, not "
                                       << ns_from_ticks(least) << " to " << ns_from_ticks(most);
}
::testing::AssertionResult is_recovery(std::uint64_t wait, nanoseconds expected) {
  return lies_within(wait, at(expected) - kUnit + 1, at(expected));
}
::testing::AssertionResult is_probe_timeout(std::uint64_t wait, nanoseconds expected) {
  return lies_within(wait, at(expected), at(expected) + kUnit - 1);
}

constexpr BreakerParams kThreeInARow{
    .consecutive = 3, .probes = 1, .successes = 1, .recovery = at(30s), .probe_timeout = at(10s)};

constexpr BreakerParams kHalfOfTenSeconds{.failure_rate = 5'000,
                                          .minimum_calls = 10,
                                          .window = at(10s),
                                          .recovery = at(30s),
                                          .probe_timeout = at(10s)};

// A breaker with its parameters and the tickets that are out, oldest first.
struct Host {
  explicit Host(BreakerParams with) : params(with) {}

  std::uint64_t admit(nanoseconds now, Owner owner = kAlice) {
    const BreakerAnswer expected = breaker.check(params, at(now));
    const BreakerAdmission admission = breaker.admit(params, at(now), owner);
    EXPECT_EQ(admission.wait, expected.wait) << "check() and admit() disagree at " << now.count();
    EXPECT_EQ(admission.ticket.probe != 0, expected.probe);
    last = admission.transition;
    if (admission) tickets.push_back(admission.ticket);
    return admission.wait;
  }
  void report(nanoseconds now, BreakerOutcome outcome, nanoseconds took = 0ns) {
    ASSERT_FALSE(tickets.empty());
    const BreakerTicket ticket = tickets.front();
    tickets.pop_front();
    last = breaker.report(params, ticket, outcome, at(took), at(now));
  }
  void call(nanoseconds now, BreakerOutcome outcome, nanoseconds took = 0ns) {
    ASSERT_EQ(admit(now - took), 0U) << "at " << now.count();
    report(now, outcome, took);
  }
  void trip(nanoseconds now) {
    for (int i = 0; i < 1000 && kind(now) == BreakerKind::closed; ++i) call(now, failure);
    ASSERT_EQ(kind(now), BreakerKind::open);
  }
  [[nodiscard]] BreakerReading status(nanoseconds now) const { return breaker.status(params, at(now)); }
  [[nodiscard]] BreakerKind kind(nanoseconds now) const { return status(now).kind; }
  [[nodiscard]] std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> image() const {
    std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> words{};
    std::memcpy(words.data(), static_cast<const void*>(&breaker), sizeof breaker);
    return words;
  }

  BreakerParams params;
  CircuitBreaker breaker;
  std::deque<BreakerTicket> tickets;
  BreakerTransition last;
};

enum class Do { call, admit, report };

// One step of a timeline: a complete call, an admission, or the report of the oldest call that is out.
struct Step {
  nanoseconds time;
  Do what;
  BreakerOutcome outcome;
  BreakerKind after;
  nanoseconds wait = 0ns;  // after a refusal
};

void expect_timeline(BreakerParams params, std::initializer_list<Step> steps) {
  Host host(params);
  for (const Step& step : steps) {
    SCOPED_TRACE("at " + std::to_string(step.time / 1ms) + " ms");
    const BreakerKind before = host.kind(step.time);
    if (step.wait != 0ns) {
      const auto image = host.image();
      const std::uint64_t wait = host.admit(step.time);
      EXPECT_TRUE(step.after == BreakerKind::open ? is_recovery(wait, step.wait)
                                                  : is_probe_timeout(wait, step.wait));
      EXPECT_EQ(host.image(), image) << "a refusal wrote";
    } else if (step.what == Do::report) {
      host.report(step.time, step.outcome);
    } else {
      ASSERT_EQ(host.admit(step.time), 0U);
      if (step.what == Do::call) host.report(step.time, step.outcome);
    }
    EXPECT_EQ(host.kind(step.time), step.after);
    if (host.last && step.what != Do::call) {
      EXPECT_EQ(host.last.from, before);
      EXPECT_EQ(host.last.to, step.after);
    }
  }
}

constexpr BreakerKind kClosed = BreakerKind::closed;
constexpr BreakerKind kOpen = BreakerKind::open;
constexpr BreakerKind kHalfOpen = BreakerKind::half_open;

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

TEST(Breaker, AFailedProbeOpensItAgain) {
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
TEST(Breaker, AProbeThatNeverReportsLosesItsCellAtItsDeadline) {
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

TEST(Breaker, LetsExactlyTheAllowedProbesThroughAndClosesAfterEnoughGoodOnes) {
  BreakerParams params = kThreeInARow;
  params.probes = 3;
  params.successes = 4;
  Host host(params);
  host.trip(1s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(host.admit(40s + i * 1s, i == 1 ? kBob : kAlice), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(43s), 7s)) << "until the earliest deadline";
  EXPECT_EQ(host.status(43s).probes_out, 3U);
  for (std::uint64_t good = 1; good <= 3; ++good) {
    host.report(44s, success);
    EXPECT_FALSE(host.last) << "a good probe that does not close is no transition";
    EXPECT_EQ(host.status(44s).good_probes, good);
  }
  host.call(45s, success);
  EXPECT_EQ(host.last.to, kClosed);
}

TEST(Breaker, AfterAChangeToFewerProbesTheProbesThatAreOutCount) {
  BreakerParams params = kThreeInARow;
  params.probes = 4;
  params.successes = 100;
  Host host(params);
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

TEST(Breaker, AProbeOfTheLastHalfOpenTimeKeepsItsCell) {
  BreakerParams params = kThreeInARow;
  params.probes = 2;
  params.recovery = at(1s);
  Host host(params);
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

TEST(Breaker, LateOutcomesOfAnEarlierGenerationDoNotCount) {
  Host host(kThreeInARow);
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

TEST(Breaker, AProbeOfADeadWorkerIsReclaimedAndOthersStay) {
  BreakerParams params = kThreeInARow;
  params.probes = 3;
  Host host(params);
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

TEST(Breaker, TripsOnAFailureRateOnceThereAreEnoughCalls) {
  Host host(kHalfOfTenSeconds);
  for (int i = 0; i < 5; ++i) host.call(20s, failure);
  for (int i = 0; i < 4; ++i) host.call(21s, success);
  ASSERT_EQ(host.kind(21s), kClosed) << "nine calls are too few to judge";
  EXPECT_EQ(host.status(21s).window, (BreakerCounts{9, 5, 0}));
  host.call(22s, success);
  EXPECT_EQ(host.last.to, kOpen) << "five of ten failed, although the tenth succeeded";
}

TEST(Breaker, ForgetsOutcomesOlderThanItsTimeWindow) {
  Host host(kHalfOfTenSeconds);
  for (int i = 0; i < 9; ++i) host.call(20s, failure);
  host.call(30s, failure);
  EXPECT_EQ(host.kind(30s), kClosed);
  EXPECT_EQ(host.status(30s).window, (BreakerCounts{1, 1, 0}));
  for (int i = 0; i < 9; ++i) host.call(39s, failure);
  EXPECT_EQ(host.kind(39s), kOpen) << "nine seconds back is inside";
}

// Two generations lie within one tenth of the window.
TEST(Breaker, StartsWithAnEmptyWindowAfterItClosed) {
  for (const bool by_time : {true, false}) {
    BreakerParams params = kHalfOfTenSeconds;
    params.recovery = at(10ms);
    if (!by_time) params.window = 0, params.window_calls = 20;
    Host host(params);
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

TEST(Breaker, TripsOnSlowCallsAndASlowProbeIsABadOne) {
  BreakerParams params = kHalfOfTenSeconds;
  params.failure_rate = 0;
  params.slow_rate = 3'000;
  params.slow_call = at(1s);
  Host host(params);
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

TEST(Breaker, StaysOpenLongerWithEachTripInARowUpToItsMaximum) {
  BreakerParams params = kThreeInARow;
  params.factor = 250;
  params.max_recovery = at(100s);
  Host host(params);
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

TEST(Breaker, JitterOnlyLengthensAndIsTheSameForTheSameSeed) {
  BreakerParams params = kThreeInARow;
  params.jitter = 2'000;
  std::set<std::uint64_t> waits;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    params.seed = seed;
    std::array<std::uint64_t, 2> twice{};
    for (std::uint64_t& wait : twice) {
      Host host(params);
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
TEST(Breaker, ARecoveryNeverLastsLongerThanItsLength) {
  for (const std::uint64_t now : {std::uint64_t{0}, std::uint64_t{1}, kUnit - 1, kUnit, at(1s) + 1}) {
    for (const std::uint64_t ticks :
         {std::uint64_t{1}, kUnit, kUnit + 1, at(1s), at(30s), kMaxBreakerTicks}) {
      const std::uint64_t left = breaker_time::left(breaker_time::end_of_recovery(now, ticks), now);
      EXPECT_LE(left, ticks) << now;
      EXPECT_GT(left + kUnit, ticks) << now;
    }
  }
}

TEST(Breaker, TheLongestLegalTimesDoNotOverflow) {
  const BreakerParams params{.factor = 10'000,
                             .jitter = 10'000,
                             .recovery = kMaxBreakerTicks,
                             .max_recovery = std::numeric_limits<std::uint64_t>::max()};
  for (std::uint32_t trips = 1; trips <= 31; ++trips) {
    const std::uint64_t ticks = breaker_time::recovery(params, trips, trips);
    EXPECT_GE(ticks, kMaxBreakerTicks);
    EXPECT_LE(ticks, 2 * kMaxBreakerTicks);
  }
  BreakerParams growing = params;
  growing.recovery = 1;
  std::uint64_t before = 0;
  for (std::uint32_t trips = 1; trips <= 31; ++trips) {
    growing.jitter = 0;
    const std::uint64_t ticks = breaker_time::recovery(growing, trips, 0);
    EXPECT_TRUE(ticks > before || ticks == kMaxBreakerTicks);
    before = ticks;
  }
}

TEST(Breaker, ForcedStatesDoWhatTheySay) {
  Host host(kThreeInARow);
  const auto set = [&](BreakerKind kind) {
    const BreakerTransition done = host.breaker.set(kind);
    EXPECT_TRUE(done);
    EXPECT_EQ(done.to, kind);
    host.tickets.clear();
  };
  set(BreakerKind::forced_open);
  EXPECT_EQ(host.admit(1s), kNever);
  EXPECT_EQ(host.admit(1000h), kNever);
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

TEST(Breaker, CountsInTheWindowWithoutTrippingInMetricsOnly) {
  Host host(kHalfOfTenSeconds);
  host.breaker.set(BreakerKind::metrics_only);
  for (int i = 0; i < 30; ++i) host.call(20s, failure);
  EXPECT_EQ(host.status(20s).window, (BreakerCounts{30, 30, 0}));
  EXPECT_EQ(host.kind(20s), BreakerKind::metrics_only);
}

TEST(Breaker, ASuccessWithNoFailuresCountedWritesNothing) {
  Host host(kThreeInARow);
  const auto before = host.image();
  for (int i = 0; i < 3; ++i) host.call(1s, success);
  EXPECT_EQ(host.image(), before);
}

TEST(Breaker, ALateClockReadingIsRefusedForLonger) {
  Host host(kThreeInARow);
  host.trip(100s);
  EXPECT_TRUE(is_recovery(host.admit(90s), 40s));
  EXPECT_TRUE(is_recovery(host.admit(1s), 129s));
  ASSERT_EQ(host.admit(140s), 0U);
  EXPECT_TRUE(is_probe_timeout(host.admit(1s), 149s));
}

TEST(Breaker, RetryAfterIsExactToTheNanosecond) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 1000; ++round) {
    BreakerParams params = kThreeInARow;
    params.jitter = 5'000;
    params.seed = random();
    params.probe_timeout = at(nanoseconds(1 + random() % 10'000'000'000));
    Host host(params);
    const nanoseconds start(1'000'000'000 + random() % 1'000'000'000);
    host.trip(start);
    nanoseconds now = start;
    for (int turn = 0; turn < 2; ++turn) {  // once while open, once while half-open with the probe out
      const nanoseconds wait(ns_from_ticks(host.admit(now)));
      EXPECT_NE(host.breaker.check(params, at(now + wait - 1ns)).wait, 0U);
      now += wait;
      EXPECT_EQ(host.admit(now), 0U);
    }
  }
}

TEST(Breaker, ZeroedMemoryIsAClosedBreaker) {
  Host host(kThreeInARow);
  host.trip(1s);
  std::memset(static_cast<void*>(&host.breaker), 0, sizeof host.breaker);
  EXPECT_EQ(host.status(0s).kind, kClosed);
  EXPECT_EQ(host.status(0s).generation, 0);
  EXPECT_EQ(host.status(0s).consecutive, 0U);
  host.trip(0s);
  EXPECT_TRUE(is_recovery(host.admit(0s), 30s));
}

TEST(Breaker, AFullCellIsHalvedAndKeepsItsRates) {
  Host host(kHalfOfTenSeconds);
  for (std::uint32_t i = 0; i < BreakerWindow::kFull + 1000; ++i) {
    (void)host.breaker.report(host.params, {}, i % 4 == 0 ? failure : success, 0, at(20s));
  }
  const BreakerCounts counts = host.status(20s).window;
  EXPECT_GT(counts.calls, BreakerWindow::kFull / 2);
  EXPECT_LE(counts.calls, BreakerWindow::kFull / 2 + 1001);
  EXPECT_NEAR(counts.failures, counts.calls / 4, 1);
}

// The oracles: what was reported, as a list of plain values; ten obvious lines each.
struct Reported {
  std::uint64_t time;
  std::uint64_t number;  // from 0 in each generation
  bool failure;
  bool slow;
};

class Oracle {
 public:
  explicit Oracle(const BreakerParams& params) : params_(params) {}

  // @return whether it trips.
  bool report(std::uint64_t now, bool failed, bool slow) {
    calls_.push_back({now, number_++, failed, slow});
    in_a_row_ = failed ? in_a_row_ + 1 : 0;
    const BreakerCounts counts = window(now);
    const bool enough = counts.calls >= params_.minimum_calls;
    const auto reached = [&](std::uint64_t count, std::uint64_t rate) {
      return enough && rate != 0 && count * 10'000 >= rate * counts.calls;
    };
    return (params_.consecutive != 0 && in_a_row_ >= params_.consecutive) ||
           reached(counts.failures, params_.failure_rate) || reached(counts.slow, params_.slow_rate);
  }
  void restart() {
    calls_.clear();
    number_ = 0;
    in_a_row_ = 0;
  }
  BreakerCounts window(std::uint64_t now) {
    if (params_.window + params_.window_calls == 0) return {};
    const auto old = [&](const Reported& call) {
      if (params_.window != 0) return call.time / (params_.window / 10) + 10 <= now / (params_.window / 10);
      const std::uint64_t block = (params_.window_calls + 9) / 10;
      const std::uint64_t blocks = (params_.window_calls + block - 1) / block;
      return call.number / block + blocks <= (number_ - 1) / block;
    };
    while (!calls_.empty() && old(calls_.front())) calls_.pop_front();
    BreakerCounts counts;
    for (const Reported& call : calls_) {
      ++counts.calls;
      counts.failures += call.failure ? 1 : 0;
      counts.slow += call.slow ? 1 : 0;
    }
    return counts;
  }

 private:
  BreakerParams params_;
  std::deque<Reported> calls_;
  std::uint64_t number_ = 0;
  std::uint64_t in_a_row_ = 0;
};

void expect_as_the_oracle(const BreakerParams& params, std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Host host(params);
  Oracle oracle(params);
  nanoseconds now = 10s;
  int trips = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += nanoseconds(random() % 8 == 0 ? random() % 3'000'000'000 : random() % 100'000'000);
    const bool failed = random() % 100 < (i / 500 % 2 == 0 ? 20U : 45U);
    const bool slow = random() % 100 < 20;
    ASSERT_EQ(host.status(now).window, oracle.window(at(now))) << "step " << i;
    host.call(now, failed ? failure : success, slow ? 2s : 1s);
    const bool tripped = oracle.report(at(now), failed, params.slow_rate != 0 && slow);
    ASSERT_EQ(host.last.to == kOpen, tripped) << "step " << i;
    if (!tripped) {
      ASSERT_EQ(host.status(now).window, oracle.window(at(now))) << "step " << i;
      continue;
    }
    ++trips;
    now += nanoseconds(ns_from_ticks(host.admit(now)));
    host.call(now, success);
    ASSERT_EQ(host.last.to, kClosed) << "step " << i;
    oracle.restart();
  }
  EXPECT_GT(trips, 3) << "a run without trips shows little";
}

TEST(Breaker, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  const BreakerParams base{.slow_call = at(1s), .recovery = at(1s), .probe_timeout = at(1s)};
  for (std::uint32_t in_a_row = 1; in_a_row <= 5; ++in_a_row) {
    BreakerParams params = base;
    params.consecutive = in_a_row;
    expect_as_the_oracle(params, seed + in_a_row);
  }
  for (const nanoseconds window : {1s, 10s, 30s}) {
    BreakerParams params = base;
    params.window = at(window);
    params.minimum_calls = 8;
    params.failure_rate = 5'000;
    params.slow_rate = window == 10s ? 4'000 : 0;
    expect_as_the_oracle(params, seed);
  }
  // Cells hold more calls than the minimum: a success in a good cell looks no further.
  for (const std::uint32_t minimum : {1U, 3U, 5U}) {
    BreakerParams params = base;
    params.window = minimum == 3 ? 0 : at(30s);
    params.window_calls = minimum == 3 ? 200 : 0;
    params.minimum_calls = minimum;
    params.failure_rate = 4'500;
    params.slow_rate = minimum == 5 ? 3'500 : 0;
    SCOPED_TRACE("at least " + std::to_string(minimum) + " calls");
    expect_as_the_oracle(params, seed);
  }
  for (const std::uint32_t calls : {1U, 2U, 7U, 10U, 11U, 15U, 20U, 99U, 100U}) {
    BreakerParams params = base;
    params.window_calls = calls;
    params.minimum_calls = std::min(calls, 20U);
    params.failure_rate = calls > 50 ? 4'000 : 6'000;
    params.consecutive = calls == 20 ? 4 : 0;
    SCOPED_TRACE("window of " + std::to_string(calls) + " calls");
    expect_as_the_oracle(params, seed);
  }
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
    Host host(params);
    std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> image{};
    for (std::uint64_t& word : image) {
      const std::uint64_t any = random();
      word = random() % 3 == 0 ? 0 : random() % 3 == 0 ? any : any >> (random() % 64);
    }
    std::memcpy(static_cast<void*>(&host.breaker), image.data(), sizeof image);
    std::uint32_t probes = 0;
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t wait = host.admit(5s + i * 1ns);
      EXPECT_TRUE(wait == kNever || wait <= 4 * kMaxBreakerTicks);
      probes += wait == 0 && host.tickets.back().probe != 0 ? 1 : 0;
      ASSERT_TRUE(i > 20 || probes <= kMaxProbes);
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

// A block number at the end of its field, higher than any breaker counts: it must not spin.
TEST(Breaker, ACountWindowOfAbsurdBlocksStillCounts) {
  for (const std::uint64_t epoch :
       {(std::uint64_t{1} << 52) - 1, (std::uint64_t{1} << 48) - 1, std::uint64_t{1} << 48}) {
    BreakerParams params = kHalfOfTenSeconds;
    params.window = 0;
    params.window_calls = 20;
    Host host(params);
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

// A probe whose timeout is over has no effect any more, even if its cell was not taken again.
TEST(Breaker, AProbeThatReportsAfterItsTimeoutNeitherClosesNorTrips) {
  for (const BreakerOutcome outcome : {success, failure}) {
    Host host(kThreeInARow);
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

TEST(Breaker, AProbeThatReportsJustInTimeCounts) {
  Host host(kThreeInARow);
  host.trip(0s);
  ASSERT_EQ(host.admit(31s), 0U);
  host.report(41s - 1ns, success);
  EXPECT_EQ(host.kind(41s), BreakerKind::closed);
}

// A call is stopped between reading the clock and counting, for however long: its outcome is lost, and
// nothing else.
TEST(Breaker, ALateOutcomeMakesTheWindowForgetNothing) {
  for (const nanoseconds late : std::initializer_list<nanoseconds>{10s, 20s, 60s, 3600s, 86'400s}) {
    Host host(kHalfOfTenSeconds);
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
}  // namespace weir::detail

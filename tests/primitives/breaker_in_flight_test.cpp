// SPDX-License-Identifier: Apache-2.0

// Calls that hang, as the breaker sees them before they return.

#include "primitives/breaker_in_flight.hpp"

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "primitives/breaker.hpp"
#include "support/breakers.hpp"

namespace weir::test {
namespace {

using detail::BreakerEpochs;
using detail::BreakerInFlight;
using enum BreakerOutcome;

constexpr BreakerParams kHalfSlow{.slow_rate = 5'000,
                                  .minimum_calls = 5,
                                  .window = at(10s),
                                  .slow_call = at(2s),
                                  .recovery = at(30s),
                                  .probe_timeout = at(10s)};

BreakerParams over_calls(std::uint32_t calls) {
  BreakerParams params = kHalfSlow;
  params.window = 0;
  params.window_calls = calls;
  return params;
}

// A breaker, and the calls that are out, oldest first.
struct Host {
  struct Call {
    BreakerTicket ticket;
    nanoseconds began;
  };
  explicit Host(BreakerParams with) : params(with) {}

  bool begin(nanoseconds now, int calls = 1) {
    for (int i = 0; i < calls; ++i) {
      const BreakerAdmission admission = breaker.admit(params, at(now), kAlice);
      last = admission.transition;
      if (!admission) return false;
      out.push_back({admission.ticket, now});
    }
    return true;
  }
  void finish(nanoseconds now, BreakerOutcome outcome = success) {
    const Call call = out.front();
    out.pop_front();
    last = breaker.report(params, call.ticket, outcome, at(now - call.began), at(now));
  }
  void quick(nanoseconds now, int calls, BreakerOutcome outcome = success) {
    std::deque<Call> others;
    others.swap(out);
    for (int i = 0; i < calls && begin(now); ++i) finish(now, outcome);
    others.swap(out);
  }
  [[nodiscard]] BreakerReading status(nanoseconds now) const { return breaker.status(params, at(now)); }

  BreakerParams params;
  CircuitBreaker breaker;
  std::deque<Call> out;
  BreakerTransition last;
};

TEST(BreakerInFlight, ABreakerOpensWhileAllCallsHang) {
  for (const BreakerParams& params : {kHalfSlow, over_calls(5), over_calls(100)}) {
    Host host(params);
    ASSERT_TRUE(host.begin(100s, 5));
    ASSERT_TRUE(host.begin(102s)) << "a call that takes exactly as long is not slow";
    EXPECT_FALSE(host.begin(102s + 1ms));
    EXPECT_EQ(host.last.to, BreakerKind::open);
    EXPECT_EQ(host.status(102s + 1ms).trips, 1);
    EXPECT_GE(host.breaker.check(params, at(102s + 1ms)).wait, at(30s) - at(9us));
  }
}

// If another limit refuses, no call is admitted: looking is enough.
TEST(BreakerInFlight, ALookFindsHangingCallsAsAnAdmissionDoes) {
  Host host(kHalfSlow);
  ASSERT_TRUE(host.begin(100s, 5));
  EXPECT_EQ(host.breaker.check(host.params, at(102s)).wait, 0U);
  EXPECT_NE(host.breaker.check(host.params, at(102s + 1ms)).wait, 0U);
  EXPECT_EQ(host.status(102s + 1ms).kind, BreakerKind::open);
}

TEST(BreakerInFlight, AReportJudgesByCallsThatStillHang) {
  Host host(kHalfSlow);
  ASSERT_TRUE(host.begin(100s, 5));
  host.finish(102s + 1ms);
  EXPECT_EQ(host.last.to, BreakerKind::open) << "one was slow, and four hang";
}

TEST(BreakerInFlight, HangingCallsThatComeOneByOneAddUpOverTheWindow) {
  BreakerParams params = kHalfSlow;
  params.minimum_calls = 8;
  Host host(params);
  int begun = 0;
  while (begun < 20 && host.begin(100s + begun * 1s)) ++begun;
  EXPECT_GE(begun, 8 + 2);
  EXPECT_LE(begun, 8 + 3) << "the eighth is overdue two seconds after it began";
}

TEST(BreakerInFlight, ManyGoodCallsKeepItClosed) {
  Host host(kHalfSlow);
  host.quick(100s, 20);
  ASSERT_TRUE(host.begin(100s, 10));
  EXPECT_TRUE(host.begin(103s)) << "ten of thirty are slow";
  EXPECT_EQ(host.status(103s).window, (BreakerCounts{30, 0, 10}));
}

TEST(BreakerInFlight, ACallThatReturnsIsNotCountedAsSlowTwice) {
  BreakerParams params = kHalfSlow;
  params.minimum_calls = 1'000;
  for (const BreakerOutcome outcome : {success, failure, ignored}) {
    Host host(params);
    ASSERT_TRUE(host.begin(100s, 8));
    EXPECT_EQ(host.status(102s).window, (BreakerCounts{0, 0, 0}));
    for (std::uint32_t back = 0; back <= 8; ++back) {
      const BreakerCounts counts = host.status(103s).window;
      const std::uint32_t seen = outcome == ignored ? 8 - back : 8;
      EXPECT_EQ(counts, (BreakerCounts{seen, outcome == failure ? back : 0, seen})) << back << " are back";
      EXPECT_EQ(host.status(103s).overdue, 8 - back);
      if (back < 8) host.finish(103s, outcome);
    }
  }
}

TEST(BreakerInFlight, CallsThatReturnInTimeLeaveNothing) {
  Host host(kHalfSlow);
  for (nanoseconds now = 100s; now < 130s; now += 70ms) {
    ASSERT_TRUE(host.begin(now, 3));
    EXPECT_EQ(host.status(now).overdue, 0U);
    while (host.out.size() > 60) host.finish(now);
  }
  while (!host.out.empty()) host.finish(130s);
  EXPECT_EQ(host.status(140s).overdue, 0U);
}

// The failure rate counts calls that returned, with a slow rate or without.
TEST(BreakerInFlight, HangingCallsDoNotChangeTheFailureRate) {
  BreakerParams params = kHalfSlow;
  params.failure_rate = 5'000;
  params.slow_rate = 9'000;
  Host host(params);
  ASSERT_TRUE(host.begin(100s, 40));
  host.quick(100s, 2);
  host.quick(100s + 1ms, 3, failure);
  EXPECT_EQ(host.last.to, BreakerKind::open) << "three of five failed, whatever hangs";
}

// The calls of a killed worker never return: each counts as slow once, for about a window.
TEST(BreakerInFlight, ACallThatNeverReturnsIsForgottenWithTheWindow) {
  for (BreakerParams params : {kHalfSlow, over_calls(20)}) {
    params.minimum_calls = 100;
    const nanoseconds memory = params.window != 0 ? 10s : 28s;
    Host host(params);
    ASSERT_TRUE(host.begin(100s, 7));
    for (nanoseconds later = 2s + 1ms; later <= 2s + memory; later += 100ms)
      EXPECT_EQ(host.status(100s + later).overdue, 7U) << later.count();
    EXPECT_EQ(host.status(100s + memory + memory / 5 + 4s).overdue, 0U);
    // Nothing of it stays, not even for calls that use its cell later.
    for (nanoseconds now = 100s; now < 200s; now += 50ms) {
      ASSERT_TRUE(host.begin(now));
      host.quick(now, 0);
      std::rotate(host.out.begin(), host.out.end() - 1, host.out.end());
      host.finish(now);
    }
    EXPECT_EQ(host.status(200s).overdue, 0U);
  }
}

TEST(BreakerInFlight, AnEarlierGenerationDoesNotCountAndTakesNothingBack) {
  Host host(kHalfSlow);
  ASSERT_TRUE(host.begin(100s, 5));
  host.breaker.reset();
  ASSERT_TRUE(host.begin(100s, 2));
  EXPECT_EQ(host.status(103s).overdue, 2U);
  for (int i = 0; i < 5; ++i) host.finish(103s);
  EXPECT_EQ(host.status(103s).overdue, 2U) << "calls of the earlier generation took others back";
  EXPECT_EQ(host.status(103s).window, (BreakerCounts{2, 0, 2}));
}

TEST(BreakerInFlight, AProbeIsNotCountedAsInFlight) {
  Host host(kHalfSlow);
  ASSERT_TRUE(host.begin(100s, 5));
  ASSERT_FALSE(host.begin(103s));
  ASSERT_TRUE(host.begin(140s)) << "the probe";
  EXPECT_NE(host.out.back().ticket.probe, 0U);
  EXPECT_EQ(host.status(145s).overdue, 0U);
}

TEST(BreakerInFlight, CountsWithoutTrippingInMetricsOnlyAndNothingWhenDisabled) {
  Host host(kHalfSlow);
  (void)host.breaker.set(BreakerKind::metrics_only);
  ASSERT_TRUE(host.begin(100s, 9));
  ASSERT_TRUE(host.begin(103s));
  EXPECT_EQ(host.status(103s).overdue, 9U);
  (void)host.breaker.set(BreakerKind::disabled);
  ASSERT_TRUE(host.begin(103s, 9));
  EXPECT_EQ(host.status(106s).overdue, 0U);
}

// An admission is stopped between reading the clock and counting, for however long: nothing of the others is
// forgotten.
TEST(BreakerInFlight, ALateAdmissionMakesTheRingForgetNothing) {
  BreakerParams params = kHalfSlow;
  params.minimum_calls = 1'000;
  for (const nanoseconds late : {1s, 12s, 13s, 60s, 3'600s, 86'400s}) {
    Host host(params);
    for (nanoseconds now = 100'000s; now < 100'010s; now += 100ms) ASSERT_TRUE(host.begin(now));
    const std::uint32_t before = host.status(100'012s).overdue;
    ASSERT_TRUE(host.begin(100'010s - late, 50));
    EXPECT_GE(host.status(100'012s).overdue, before) << late.count();
    for (int i = 0; i < 50; ++i) {
      std::rotate(host.out.begin(), host.out.end() - 1, host.out.end());
      host.finish(100'010s);
    }
    EXPECT_EQ(host.status(100'012s).overdue, before) << late.count();
  }
}

TEST(BreakerInFlight, WithoutASlowRateNothingIsWritten) {
  BreakerParams params = kHalfSlow;
  params.slow_rate = 0;
  params.failure_rate = 5'000;
  Host host(params);
  EXPECT_TRUE(host.breaker.unguarded());
  ASSERT_TRUE(host.begin(100s, 9));
  EXPECT_EQ(host.out.back().ticket.cell, 0);
  host.breaker.watch(true);
  EXPECT_FALSE(host.breaker.unguarded());
}

TEST(BreakerInFlight, AFullCellStopsCountingAndEmptiesAgain) {
  BreakerInFlight ring;
  const BreakerEpochs epochs = BreakerInFlight::epochs(kHalfSlow);
  const auto current = [] { return true; };
  for (std::uint32_t i = 0; i < BreakerInFlight::kFull; ++i)
    ASSERT_TRUE(ring.begin(epochs, 3, at(100s), current));
  EXPECT_FALSE(ring.begin(epochs, 3, at(100s), current));
  EXPECT_EQ(ring.overdue(kHalfSlow, 3, at(103s)), BreakerInFlight::kFull);
  for (std::uint32_t i = 0; i < BreakerInFlight::kFull + 5; ++i) ring.end(epochs, 3, at(100s));
  EXPECT_EQ(ring.overdue(kHalfSlow, 3, at(103s)), 0U);
}

// Compared with a list of all calls: a call that is certainly overdue is counted, and one that is certainly
// not is not.
TEST(BreakerInFlight, CountsLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int story = 0; story < 30; ++story) {
    BreakerParams params = kHalfSlow;
    params.slow_call = at(nanoseconds(1'000'000 + random() % 5'000'000'000));
    params.window = at(nanoseconds(1'000'000'000 + random() % 60'000'000'000));
    if (story % 3 == 0) params.window = 0;
    const std::uint64_t memory = params.window != 0 ? params.window : 14 * params.slow_call;
    const BreakerEpochs epochs = BreakerInFlight::epochs(params);
    const std::uint64_t slack = epochs.ticks + (std::uint64_t{1} << detail::breaker_time::kUnitShift);
    BreakerInFlight ring;
    std::vector<std::uint64_t> out;
    std::uint64_t now = at(1000s);
    for (int i = 0; i < 3'000; ++i) {
      now += random() % (params.slow_call / 4);
      if (random() % 2 == 0) {
        ASSERT_TRUE(ring.begin(epochs, 9, now, [] { return true; }));
        out.push_back(now);
      } else if (!out.empty()) {
        const std::size_t which = random() % 3 != 0 ? random() % out.size() : out.size() - 1;
        ring.end(epochs, 9, out[which]);
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(which));
      }
      const auto older = [&](std::uint64_t than) {
        return std::count_if(out.begin(), out.end(), [&](std::uint64_t began) { return now - began > than; });
      };
      const auto forgotten = older(params.slow_call + memory - epochs.ticks);
      const auto counted = static_cast<std::ptrdiff_t>(ring.overdue(params, 9, now));
      ASSERT_LE(counted, older(params.slow_call)) << "step " << i;
      ASSERT_GE(counted, older(params.slow_call + slack) - forgotten) << "step " << i;
    }
  }
}

TEST(BreakerInFlight, TheLongestLegalTimesDoNotOverflow) {
  for (const std::uint64_t slow :
       {std::uint64_t{0}, std::uint64_t{1}, at(366 * 86'400s), ~std::uint64_t{0}}) {
    for (const std::uint64_t window :
         {std::uint64_t{0}, std::uint64_t{1}, at(366 * 86'400s), ~std::uint64_t{0}}) {
      BreakerParams params = kHalfSlow;
      params.slow_call = slow;
      params.window = window;
      const BreakerEpochs epochs = BreakerInFlight::epochs(params);
      EXPECT_GE(epochs.ticks, std::uint64_t{1} << 12);
      EXPECT_LE(epochs.ticks, detail::kMaxBreakerTicks);
      BreakerInFlight ring;
      ASSERT_TRUE(ring.begin(epochs, 0, at(1s), [] { return true; }));
      EXPECT_EQ(ring.overdue(params, 0, at(1s)), 0U);
      if (slow > at(2s)) {
        EXPECT_EQ(ring.overdue(params, 0, at(2s)), 0U);
      }
    }
  }
}

}  // namespace
}  // namespace weir::test

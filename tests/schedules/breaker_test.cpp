// SPDX-License-Identifier: Apache-2.0

// How a breaker counts and trips, under every interleaving, kill and pause.

#include <algorithm>
#include <gtest/gtest.h>

#include "schedules/breaker_callers.hpp"

namespace weir::test {
namespace {

using detail::Word;

TEST_F(BreakerSchedules, OpensAfterNFailuresInTotalHoweverTheyInterleaveAndTripsOnce) {
  constexpr BreakerParams params = in_a_row(3);
  declare();
  for (std::size_t p = 0; p < 3; ++p) failing(p, params, 1);
  program.check([&]() -> Complaint {
    const BreakerReading status = memory.status(params, kNow);
    if (status.kind != BreakerKind::open) return "three failed and it is not open";
    if (status.trips != 1 || status.generation != 1) return "it tripped more than once";
    if (memory.total(memory.seen) != 1) return "the trip was not reported exactly once";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(BreakerSchedules, TheNextReportActsOnWhatAKilledReporterCounted) {
  constexpr BreakerParams params = in_a_row(2);
  declare();
  for (std::size_t p = 0; p < 3; ++p) failing(p, params, 1);
  program.check([&]() -> Complaint {
    const std::uint64_t told = memory.total(memory.reported);
    const bool open = memory.status(params, kNow).kind == BreakerKind::open;
    if (told >= 2 && !open) return "enough reports returned and it is not open";
    const std::uint64_t counted = memory.status(params, kNow).consecutive;
    if (!open && counted >= 2) {
      (void)call(params, BreakerOutcome::success);
      if (memory.status(params, kNow).kind != BreakerKind::open)
        return "a kill left it closed above its threshold";
    }
    if (memory.status(params, kNow).trips > 1) return "it tripped twice";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Of three failures some returned before the success began, and some began after it returned.
TEST_F(BreakerSchedules, ASuccessResetsTheCountAndLosesNoFailureAfterIt) {
  constexpr BreakerParams params = in_a_row(3);
  struct {
    Word returned;       // failures so far
    Word succeeded;      // whether the success returned
    Word before, after;  // failures before it began, after it returned
  } order;
  declare();
  program.shared(order, "order");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "failing" : "failing twice", [&, p] {
      for (std::size_t i = 0; i <= p; ++i) {
        order.after.fetch_add(order.succeeded.load(std::memory_order_relaxed), std::memory_order_relaxed);
        (void)memory.breaker.report(params, {}, BreakerOutcome::failure, 0, kNow);
        order.returned.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  program.process("succeeding", [&] {
    order.before.store(order.returned.load(std::memory_order_relaxed), std::memory_order_relaxed);
    (void)memory.breaker.report(params, {}, BreakerOutcome::success, 0, kNow);
    order.succeeded.store(1, std::memory_order_relaxed);
  });
  program.check([&]() -> Complaint {
    const std::uint64_t before = order.before.load(std::memory_order_relaxed);
    const std::uint64_t after = order.after.load(std::memory_order_relaxed);
    if (before == 0 || after == 0) return std::nullopt;
    const BreakerReading status = memory.status(params, kNow);
    if (status.kind != BreakerKind::closed) return "tripped although a success broke the row";
    if (status.consecutive > 3 - before) return "a failure from before the success still counts";
    if (status.consecutive < after) return "a failure from after the success was lost";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_preemptions = 5, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(BreakerSchedules, AFailureRateOverCallsTripsHoweverTheyInterleave) {
  constexpr BreakerParams params{.failure_rate = 5'000,
                                 .minimum_calls = 2,
                                 .window_calls = 2,
                                 .recovery = kRecovery,
                                 .probe_timeout = kTimeout};
  declare();
  for (std::size_t p = 0; p < 3; ++p) failing(p, params, 1);
  program.check([&]() -> Complaint {
    const BreakerReading status = memory.status(params, kNow);
    if (killed(3) == 0 && status.kind != BreakerKind::open) return "three of three failed and it is not open";
    if (status.trips > 1 || memory.total(memory.seen) > 1) return "the trip was counted twice";
    if (status.kind == BreakerKind::closed && status.window.calls >= 2) {
      (void)call(params, BreakerOutcome::success);
      if (memory.status(params, kNow).kind != BreakerKind::open)
        return "a kill left it closed above its threshold";
    }
    if (status.kind == BreakerKind::closed &&
        status.window.calls < std::min<std::uint64_t>(2, memory.total(memory.reported)))
      return "an outcome was lost";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 2, .min_states = 1000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// A full block is followed by the next; a slow process that meant the last block does not bring it back.
TEST_F(BreakerSchedules, ACountWindowHoldsTheLastCallsHoweverSlowAProcessIs) {
  constexpr BreakerParams params{.failure_rate = 10'000,
                                 .minimum_calls = 10,
                                 .window_calls = 2,
                                 .recovery = kRecovery,
                                 .probe_timeout = kTimeout};
  declare();
  failing(0, params, 1);
  failing(1, params, 4);
  program.check([&]() -> Complaint {
    if (memory.reported[1] < 2) return std::nullopt;
    if (memory.status(params, kNow).window.calls != 2) return "the window of two calls does not hold two";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 300});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Two of the calls count in different cells: of two processes that look around afterwards, one sees both.
TEST_F(BreakerSchedules, AFailureRateOverTimeTripsAlthoughTwoCountInDifferentCells) {
  constexpr BreakerParams params{.failure_rate = 5'000,
                                 .minimum_calls = 2,
                                 .window = 10 * kSecond,
                                 .recovery = kRecovery,
                                 .probe_timeout = kTimeout};
  declare();
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "this second" : "the next", [this, p, params] {
      const auto done = memory.breaker.report(params, {}, BreakerOutcome::failure, 0, kNow + p * kSecond);
      memory.seen[p] = done ? 1 : 0;
      memory.reported[p] = 1;
    });
  }
  program.check([&]() -> Complaint {
    const BreakerReading status = memory.status(params, kNow + kSecond);
    if (status.kind == BreakerKind::open)
      return memory.total(memory.seen) > 1 ? Complaint("tripped twice") : std::nullopt;
    if (memory.total(memory.reported) == 2) return "both failed and it is not open";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_preemptions = 3, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// One process probes well, one badly, and one call is left from before the trip.
TEST_F(BreakerSchedules, OutcomesOfAnEarlierGenerationDoNotCount) {
  constexpr BreakerParams params = in_a_row(1);
  const BreakerTicket old = memory.breaker.admit(params, kNow, owner_of(0)).ticket;
  trip(params);
  declare();
  program.process("left over", [this, old, params] {
    if (memory.breaker.report(params, old, BreakerOutcome::failure, 0, kLater)) ++memory.seen[0];
  });
  probing(1, params, BreakerOutcome::success, 1);
  program.check([&]() -> Complaint {
    if (memory.seen[0] != 0) return "a call from before the trip tripped it";
    if (memory.status(params, kLater).consecutive != 0) return "a call from before the trip was counted";
    if (!dead(1) && memory.status(params, kLater).kind != BreakerKind::closed)
      return "a good probe did not close it";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 30});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(BreakerSchedules, ASlowReporterNeverOverwritesARowOfALaterGeneration) {
  slow_over_a_reset(in_a_row(2), [](const BreakerReading& status) { return status.consecutive; });
}

TEST_F(BreakerSchedules, ASlowReporterNeverOverwritesACellOfALaterGeneration) {
  slow_over_a_reset({.failure_rate = 10'000,
                     .minimum_calls = 2,
                     .window_calls = 2,
                     .recovery = kRecovery,
                     .probe_timeout = kTimeout},
                    [](const BreakerReading& status) { return std::uint64_t{status.window.failures}; });
}

}  // namespace
}  // namespace weir::test

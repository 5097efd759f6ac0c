// SPDX-License-Identifier: Apache-2.0

// The breaker under every interleaving, kill and pause.

#include "primitives/breaker.hpp"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

#include "support/breakers.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Word;

constexpr std::uint64_t kRecovery = 30 * kSecond;
constexpr std::uint64_t kTimeout = 10 * kSecond;
constexpr std::uint64_t kLater = kNow + 31 * kSecond;  // a tripped breaker is ready to probe

constexpr BreakerParams in_a_row(std::uint32_t failures) {
  return {.consecutive = failures, .recovery = kRecovery, .probe_timeout = kTimeout};
}

Owner owner_of(std::size_t process) {
  return {static_cast<std::uint32_t>(process), 1};
}

// The breaker, and beside it what its users believe.
struct Memory {
  CircuitBreaker breaker;
  std::array<std::uint64_t, 3> reported{};  // failures whose report has returned
  std::array<std::uint64_t, 3> inside{};    // probes that are out
  std::array<std::uint64_t, 3> seen{};      // how often a transition to open was reported
  std::uint64_t refused = 0;

  [[nodiscard]] std::uint64_t total(const std::array<std::uint64_t, 3>& of) const {
    return of[0] + of[1] + of[2];
  }
  [[nodiscard]] BreakerReading status(const BreakerParams& params, std::uint64_t now) const {
    return breaker.status(params, now);
  }
};

class BreakerSchedules : public ::testing::Test {
 protected:
  void declare() { program.shared(memory, "memory").name(memory.breaker, "breaker"); }
  [[nodiscard]] bool dead(std::size_t process) const {
    return !program.alive(ProcessId{static_cast<std::uint8_t>(process)});
  }
  [[nodiscard]] std::uint64_t killed(std::size_t processes) const {
    std::uint64_t count = 0;
    for (std::size_t p = 0; p < processes; ++p) count += dead(p) ? 1 : 0;
    return count;
  }
  // One complete call in a closed breaker. @return true if this call tripped it.
  bool call(const BreakerParams& params, BreakerOutcome outcome, std::uint64_t now = kNow) {
    const BreakerAdmission admission = memory.breaker.admit(params, now, owner_of(0));
    if (!admission) return false;
    return memory.breaker.report(params, admission.ticket, outcome, 0, now).to == BreakerKind::open;
  }
  void trip(const BreakerParams& params) {
    while (!call(params, BreakerOutcome::failure)) {
    }
  }
  // A process that fails `calls` times; each call was admitted before any was reported.
  void failing(std::size_t p, const BreakerParams& params, int calls) {
    program.process("failing " + std::to_string(p), [this, p, params, calls] {
      for (int i = 0; i < calls; ++i) {
        const auto done = memory.breaker.report(params, {}, BreakerOutcome::failure, 0, kNow);
        ++memory.reported[p];
        if (done) ++memory.seen[p];
      }
    });
  }
  // A process that wants to probe, is inside for a while, and reports.
  void probing(std::size_t p, const BreakerParams& params, BreakerOutcome outcome, std::uint64_t most) {
    program.process("prober " + std::to_string(p), [this, p, params, outcome, most] {
      const BreakerAdmission admission = memory.breaker.admit(params, kLater, owner_of(p));
      if (!admission) return;
      if (admission.ticket.probe == 0) return;  // the breaker was closed meanwhile
      memory.inside[p] = 1;
      program.require(memory.total(memory.inside) <= most, "too many probes are out");
      // The call takes a step in which others can overtake it: a load is a step.
      (void)memory.breaker.check(params, kLater);
      memory.inside[p] = 0;
      const auto done = memory.breaker.report(params, admission.ticket, outcome, 0, kLater);
      if (done.to == BreakerKind::open && done) ++memory.seen[p];
    });
  }
  // One process reports across a reset, after which another one fails: the new generation has exactly that
  // failure.
  template <class Counted>
  void slow_over_a_reset(const BreakerParams& params, Counted counted) {
    declare();
    program.process("slow",
                    [&] { (void)memory.breaker.report(params, {}, BreakerOutcome::failure, 0, kNow); });
    program.process("operator", [&] {
      memory.breaker.reset();
      const BreakerAdmission next = memory.breaker.admit(params, kNow, owner_of(1));
      (void)memory.breaker.report(params, next.ticket, BreakerOutcome::failure, 0, kNow);
      memory.reported[1] = 1;
    });
    program.check([&]() -> Complaint {
      const BreakerReading status = memory.status(params, kNow);
      if (status.kind != BreakerKind::closed) return "failures of two generations tripped it";
      if (memory.reported[1] != 0 && counted(status) != 1)
        return "the new generation does not have its failure";
      return std::nullopt;
    });
    const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 30});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
  // Frees what killed processes held; they are not inside any more.
  void sweep(std::size_t processes) {
    std::array<bool, 3> gone{};
    for (std::size_t p = 0; p < processes; ++p) gone[p] = dead(p);
    memory.breaker.reclaim([&](Owner owner) {
      if (!gone[owner.slot()]) return false;
      memory.inside[owner.slot()] = 0;
      return true;
    });
  }

  Memory memory;
  Program program;
};

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

TEST_F(BreakerSchedules, ExactlyOneProbeIsOutAndAKilledOneComesBack) {
  constexpr BreakerParams params = in_a_row(1);
  trip(params);
  declare();
  for (std::size_t p = 0; p < 2; ++p) probing(p, params, BreakerOutcome::ignored, 1);
  program.process("sweeper", [&] { sweep(2); });
  program.check([&]() -> Complaint {
    sweep(2);
    const BreakerAdmission next = memory.breaker.admit(params, kLater, owner_of(2));
    if (!next) return "a killed prober keeps it half-open";
    if (memory.breaker.admit(params, kLater, owner_of(2))) return "two probes at once";
    if (memory.breaker.report(params, next.ticket, BreakerOutcome::success, 0, kLater).to !=
        BreakerKind::closed)
      return "a good probe did not close it";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .max_preemptions = 2, .min_states = 300});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(BreakerSchedules, OfThreeProcessesThatWantToProbeAtOnceTwoMay) {
  BreakerParams params = in_a_row(1);
  params.probes = 2;
  params.successes = 3;
  trip(params);
  declare();
  for (std::size_t p = 0; p < 3; ++p) {
    program.process("prober " + std::to_string(p), [this, p, params] {
      memory.inside[p] = memory.breaker.admit(params, kLater, owner_of(p)) ? 1 : 0;
    });
  }
  program.invariant([&]() -> Complaint {
    if (memory.total(memory.inside) > 2) return "too many probes are out";
    return std::nullopt;
  });
  program.check([&]() -> Complaint {
    if (killed(3) == 0 && memory.total(memory.inside) != 2) return "two places, and not two probes";
    if (memory.status(params, kLater + kTimeout + kSecond).probes_out != 0)
      return "a probe outlives its deadline";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .max_preemptions = 2, .min_states = 300});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Of four probes that were out, the one in the highest cell still is, and reports while two others want to
// probe.
TEST_F(BreakerSchedules, AfterAChangeToFewerProbesNoMoreAreLetOut) {
  BreakerParams params = in_a_row(1);
  params.probes = 4;
  params.successes = 100;
  trip(params);
  std::array<BreakerTicket, 4> tickets{};
  for (BreakerTicket& ticket : tickets) ticket = memory.breaker.admit(params, kLater, owner_of(2)).ticket;
  for (const std::size_t back : {0U, 1U, 2U})
    (void)memory.breaker.report(params, tickets[back], BreakerOutcome::ignored, 0, kLater);
  params.probes = 2;
  memory.inside[2] = 1;
  declare();
  for (std::size_t p = 0; p < 2; ++p) {
    program.process("prober " + std::to_string(p), [this, p, params] {
      memory.inside[p] = memory.breaker.admit(params, kLater, owner_of(p)) ? 1 : 0;
      program.require(memory.total(memory.inside) <= 2, "too many probes are out");
    });
  }
  program.process("of before", [this, params, ticket = tickets[3]] {
    memory.inside[2] = 0;
    (void)memory.breaker.report(params, ticket, BreakerOutcome::ignored, 0, kLater);
    (void)memory.breaker.check(params, kLater);
  });
  program.check([&]() -> Complaint {
    if (memory.status(params, kLater).probes_out > 2) return "too many probes are out";
    if (killed(3) == 0 && !memory.breaker.admit(params, kLater, owner_of(0)) &&
        memory.status(params, kLater).probes_out < 2)
      return "a cell is lost";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// There is no sweeper: at the deadline the prober loses its cell to another, and its later report does not
// count.
TEST_F(BreakerSchedules, AStoppedProberLosesItsCellAtTheDeadlineAndItsReportIsIgnored) {
  constexpr BreakerParams params = in_a_row(1);
  trip(params);
  declare();
  const BreakerAdmission slow = memory.breaker.admit(params, kLater, owner_of(0));
  ASSERT_TRUE(slow.ticket.probe != 0);
  constexpr std::uint64_t after = kLater + kTimeout + kSecond;
  program.process("slow", [&] {
    if (memory.breaker.report(params, slow.ticket, BreakerOutcome::failure, 0, after)) ++memory.seen[0];
  });
  program.process("next", [&] {
    const BreakerAdmission next = memory.breaker.admit(params, after, owner_of(1));
    if (next) memory.inside[1] = next.ticket.probe != 0 ? 1 : 0;
    if (!next) ++memory.refused;
  });
  program.check([&]() -> Complaint {
    // The prober was in time if no other process had its cell when it looked; then it opened the breaker, and may have
    // been killed before it reported that.
    const BreakerReading status = memory.status(params, after);
    if (status.kind == BreakerKind::open) return std::nullopt;
    if (memory.seen[0] != 0) return "a report said that it opened, but it is not open";
    if (memory.refused != 0) return "a stopped prober keeps the breaker half-open";
    if (memory.inside[1] > status.probes_out) return "the next prober lost its cell to a late report";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 10});
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

TEST_F(BreakerSchedules, AGoodAndABadProbeDecideOnce) {
  BreakerParams params = in_a_row(1);
  params.probes = 2;
  trip(params);
  declare();
  std::array<BreakerTicket, 2> tickets{};
  for (std::size_t p = 0; p < 2; ++p) tickets[p] = memory.breaker.admit(params, kLater, owner_of(p)).ticket;
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "good" : "bad", [this, p, params, ticket = tickets[p]] {
      const auto outcome = p == 0 ? BreakerOutcome::success : BreakerOutcome::failure;
      memory.seen[p] = memory.breaker.report(params, ticket, outcome, 0, kLater) ? 1 : 0;
      memory.reported[p] = 1;
    });
  }
  program.check([&]() -> Complaint {
    const BreakerReading status = memory.status(params, kLater);
    if (status.generation > 3 || memory.total(memory.seen) > 1) return "both decided";
    if (memory.total(memory.reported) != 0 && status.kind == BreakerKind::half_open)
      return "no probe decided";
    if (memory.seen[0] != 0 && status.kind != BreakerKind::closed)
      return "a report said that it closed, but it is not closed";
    if (memory.seen[1] != 0 && status.trips != 2) return "a report said that it opened, but it is not open";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 20});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The only cell is taken while the breaker is half-open, and free only once it is open: no process may probe at any
// moment.
TEST_F(BreakerSchedules, NoCallTakesTheCellOfAProbeThatOpenedItAgain) {
  constexpr BreakerParams params = in_a_row(1);
  trip(params);
  const BreakerTicket first = memory.breaker.admit(params, kLater, owner_of(0)).ticket;
  declare();
  program.process("failing",
                  [&] { (void)memory.breaker.report(params, first, BreakerOutcome::failure, 0, kLater); });
  program.process("prober", [&] {
    program.require(!memory.breaker.admit(params, kLater, owner_of(1)), "it probes a breaker that is open");
  });
  program.check([&]() -> Complaint {
    sweep(2);
    if (memory.status(params, kLater).probes_out != 0) return "a refused prober keeps a cell";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.min_states = 15});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

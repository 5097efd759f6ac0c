// SPDX-License-Identifier: Apache-2.0

// The probes of a breaker under every interleaving, kill and pause.

#include <array>
#include <gtest/gtest.h>
#include <string>

#include "schedules/breaker_callers.hpp"

namespace weir::test {
namespace {

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

// Nobody sweeps here: at the deadline the prober loses its cell to another, and its later report does not
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

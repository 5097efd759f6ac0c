// SPDX-License-Identifier: Apache-2.0
#pragma once

// A breaker and its callers, for programs that schedules explore.

#include <array>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>

#include "primitives/breaker.hpp"
#include "support/breakers.hpp"
#include "support/schedule.hpp"

namespace weir::test {

inline constexpr std::uint64_t kRecovery = 30 * kSecond;
inline constexpr std::uint64_t kTimeout = 10 * kSecond;
inline constexpr std::uint64_t kLater = kNow + 31 * kSecond;  // a tripped breaker is ready to probe

constexpr BreakerParams in_a_row(std::uint32_t failures) {
  return {.consecutive = failures, .recovery = kRecovery, .probe_timeout = kTimeout};
}

inline Owner owner_of(std::size_t process) {
  return {static_cast<std::uint32_t>(process), 1};
}

// The breaker, and beside it what its users believe.
struct BreakerMemory {
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

  BreakerMemory memory;
  Program program;
};

}  // namespace weir::test

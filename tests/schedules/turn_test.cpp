// SPDX-License-Identifier: Apache-2.0

// The turn of the limits under every interleaving and kill of a change. What a worker keeps under a turn
// belongs to that turn alone, and the next request sees a change that has ended.

#include "policy/turn.hpp"

#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::ChangeOfLimits;
using detail::Word;

constexpr auto kRelaxed = std::memory_order_relaxed;

enum class Keeps : std::uint8_t { what_stood_still, anything };

/// Two limits that are always changed together, and what one worker compiled from them.
struct Memory {
  Word turn;
  std::array<Word, 2> limits;
  struct Plan {
    bool kept = false;
    std::uint64_t turn = 0;
    std::array<std::uint64_t, 2> limits{};
  } plan;
  bool changed = false;  ///< the change has ended
  std::uint64_t torn = 0;
  std::uint64_t old = 0;

  void change(std::uint64_t to) {
    const ChangeOfLimits changing(turn);
    for (Word& limit : limits) limit.store(to, kRelaxed);
  }

  /// One request: it uses the plan that was kept, or compiles its own.
  void request(Keeps keeps) {
    const bool after = changed;
    const std::uint64_t now = detail::turn_of_limits(turn);
    if (!plan.kept || plan.turn != now) {
      const std::array<std::uint64_t, 2> seen{limits[0].load(kRelaxed), limits[1].load(kRelaxed)};
      if (after && seen[0] != 1) ++old;
      const bool keep = keeps == Keeps::anything || detail::stood_still(turn, now);
      if (keep) plan = {true, now, seen};
      return;
    }
    if (plan.limits[0] != plan.limits[1]) ++torn;
    if (after && plan.limits[0] != 1) ++old;
  }
};

Verdict visit(Keeps keeps) {
  Memory memory;
  Program program;
  program.shared(memory, "memory");
  program.process("changer", [&] {
    memory.change(1);
    memory.changed = true;
  });
  program.process("worker", [&] {
    for (int i = 0; i < 3; ++i) memory.request(keeps);
  });
  program.invariant([&]() -> Complaint {
    if (memory.torn != 0) return "a plan that is kept is of two turns";
    if (memory.old != 0) return "a request that began after the change was decided by the old limits";
    return std::nullopt;
  });
  program.check([&]() -> Complaint {
    memory.change(2);  // also after a kill
    if (detail::is_being_changed(detail::turn_of_limits(memory.turn)))
      return "the next change did not end the turn";
    memory.request(keeps);
    return memory.plan.kept && memory.plan.limits[0] == 2 && memory.plan.limits[1] == 2
               ? std::nullopt
               : Complaint("the next change is not in force at once");
  });
  return explore(program, {.max_kills = 1, .min_states = 50});
}

TEST(TurnSchedules, AKeptPlanBelongsToOneTurnWhereverTheChangeIsKilled) {
  const Verdict verdict = visit(Keeps::what_stood_still);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(PlantedFaults, KeepingAPlanThatChangedWhileItWasReadIsFound) {
  EXPECT_FALSE(visit(Keeps::anything).ok());
}

}  // namespace
}  // namespace weir::test

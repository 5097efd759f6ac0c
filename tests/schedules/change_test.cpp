// SPDX-License-Identifier: Apache-2.0

// The protocol of a live change that lets another window take over, under every interleaving and kill: what
// write_block() does and what an admission does (LimitsInForce::have_changed()), over fixed windows of one hour.

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

#include "policy/turn.hpp"
#include "primitives/fixed_window.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::FixedWindow;
using detail::FixedWindowParams;
using detail::Word;

constexpr std::uint64_t kNow = 1'000;
constexpr FixedWindowParams kHour{std::uint64_t{1} << 40U, 0, 2};
constexpr std::uint64_t kOld = 1;
constexpr std::uint64_t kNew = 2;
constexpr auto kOrder = std::memory_order_seq_cst;

enum class Looks : std::uint8_t { again, never };  // whether it looks at the turn after a charge

struct Memory {
  Memory() : present(kOld) {}

  Word present;
  Word turn;
  std::array<Word, 2> counts;  // of the old window and of its heir
  std::array<std::uint64_t, 2> admitted{};

  [[nodiscard]] FixedWindow window(std::size_t i) { return FixedWindow(counts[i]); }

  void take_back(std::uint64_t charged) {
    for (std::size_t i = 0; i < 2; ++i) {
      if ((charged >> i & 1) != 0) window(i).refund(kHour, kNow, 1, kNow);
    }
  }

  /// One request. @return whether it was admitted.
  bool admit(Looks looks) {
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t seen = turn.load(kOrder);
      const std::uint64_t limits = present.load(kOrder);
      std::uint64_t charged = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        if ((limits >> i & 1) == 0) continue;
        if (window(i).admit(kHour, kNow, 1) != 0) {
          take_back(charged);
          return false;
        }
        charged |= std::uint64_t{1} << i;
      }
      if (looks == Looks::never || turn.load(kOrder) == seen) return true;
      take_back(charged);
    }
    return false;
  }

  [[nodiscard]] std::uint32_t owed() { return window(0).read(kHour, kNow).count; }

  void change() {
    const std::uint32_t known = owed();
    if (known != 0) window(1).charge(kHour, kNow, known);
    present.store(kOld | kNew, kOrder);
    turn.fetch_add(1, kOrder);
    const std::uint32_t since = owed() - std::min(known, owed());
    if (since != 0) window(1).charge(kHour, kNow, since);
    present.store(kNew, kOrder);
  }
};

Verdict explored(Looks looks) {
  Memory memory;
  Program program;
  program.shared(memory, "memory");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process("worker " + std::to_string(p), [&, p] {
      for (int i = 0; i < 2; ++i) memory.admitted[p] += memory.admit(looks) ? 1 : 0;
    });
  }
  program.process("change", [&] { memory.change(); });
  program.check([&]() -> Complaint {
    if (memory.admitted[0] + memory.admitted[1] > kHour.limit) return "a change handed out what was spent";
    return std::nullopt;
  });
  return explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 100});
}

TEST(ChangeSchedules, AWindowThatTakesOverAdmitsNothingExtraWhicheverProcessIsKilledOrStopped) {
  const Verdict verdict = explored(Looks::again);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The planted fault: an admission that does not check whether limits have changed meanwhile.
TEST(ChangeSchedules, AChargeThatDoesNotLookAgainIsFound) {
  EXPECT_FALSE(explored(Looks::never).ok());
}

// What a user owes in a window is numbered in units of its length. A worker that was stopped between looking
// its rule up and exchanging a state takes no state in the units of another rule for one in its own.
enum class Rule : std::uint8_t { looked_up, read_after_the_state };

struct UserMemory {
  static constexpr std::uint64_t kLimit = 2;
  static constexpr std::uint64_t kShort = 1;  // lengths, and the units of states
  static constexpr std::uint64_t kLong = 2;

  UserMemory() : length(kShort), state(kShort << 32U) {}

  Word turn;
  Word length;
  Word state;  // {units 32 | count 32}
  std::array<std::uint64_t, 2> admitted{};

  /// A state from before the change counts as it was; one in longer units lies out of a short window.
  static std::uint64_t count(std::uint64_t rule, std::uint64_t state) {
    return state >> 32U > rule ? 0 : state & 0xffff'ffffU;
  }
  static std::uint64_t counted(std::uint64_t rule, std::uint64_t state, std::int64_t by) {
    return rule << 32U | (count(rule, state) + static_cast<std::uint64_t>(by));
  }

  bool spend(Rule which, std::uint64_t seen_turn, std::uint64_t rule) {
    std::uint64_t seen = state.load(std::memory_order_acquire);
    for (;;) {
      if (which == Rule::read_after_the_state && !detail::stood_still(turn, seen_turn))
        rule = length.load(kOrder);
      if (count(rule, seen) >= kLimit) return false;
      if (state.compare_exchange(seen, counted(rule, seen, 1), kOrder, kOrder)) return true;
    }
  }
  void take_back() {
    std::uint64_t seen = state.load(std::memory_order_acquire);
    for (;;) {
      const std::uint64_t rule = length.load(kOrder);
      if (count(rule, seen) == 0 || state.compare_exchange(seen, counted(rule, seen, -1), kOrder, kOrder))
        return;
    }
  }
  bool admit(Rule which) {
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t seen = detail::turn_of_limits(turn);
      const bool spent = spend(which, seen, length.load(kOrder));
      if (turn.load(kOrder) == seen) return spent;
      if (spent) take_back();
    }
    return false;
  }
  void change() {
    const detail::ChangeOfLimits changing(turn);
    length.store(kLong, kOrder);
    detail::move_turn(turn);
    std::uint64_t seen = state.load(kOrder);
    while (!state.compare_exchange(seen, counted(kLong, seen, 0), kOrder, kOrder)) {
    }
  }
};

Verdict explored(Rule which) {
  UserMemory memory;
  Program program;
  program.shared(memory, "memory");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process("worker " + std::to_string(p), [&, p] {
      for (int i = 0; i < 2; ++i) memory.admitted[p] += memory.admit(which) ? 1 : 0;
    });
  }
  program.process("change", [&] { memory.change(); });
  program.check([&]() -> Complaint {
    if (memory.admitted[0] + memory.admitted[1] > UserMemory::kLimit)
      return "a late worker forgot what was spent";
    return std::nullopt;
  });
  return explore(program, {.max_kills = 1, .max_preemptions = 2, .min_states = 100});
}

TEST(ChangeSchedules, ALateWorkerForgetsNothingThatAUserHasSpentUnderAnotherLength) {
  const Verdict verdict = explored(Rule::read_after_the_state);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(ChangeSchedules, ARuleThatIsOlderThanTheStateIsFound) {
  EXPECT_FALSE(explored(Rule::looked_up).ok());
}

}  // namespace
}  // namespace weir::test

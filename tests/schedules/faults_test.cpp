// SPDX-License-Identifier: Apache-2.0

// Planted faults of the kinds that this harness is for, each beside its cure. They show what the harness can
// find.

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "base/word.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Pair;
using detail::PairWord;
using detail::Word;
using ::testing::HasSubstr;

constexpr auto kOrder = std::memory_order_seq_cst;
constexpr std::uint64_t kNobody = 0;

Complaint unless(bool holds, const char* complaint) {
  return holds ? std::nullopt : Complaint(complaint);
}

enum class Version { faulty, cured };

/// Each of two processes adds 1 once.
Verdict count_twice(Version version) {
  Word counter;
  Program program;
  program.shared(counter, "counter");
  for (const char* const name : {"first", "second"}) {
    program.process(name, [&] {
      if (version == Version::cured) {
        counter.fetch_add(1, kOrder);
      } else {
        counter.store(counter.load(kOrder) + 1, kOrder);
      }
    });
  }
  program.check([&] { return unless(counter.load(kOrder) == 2, "an update was lost"); });
  return explore(program);
}

TEST(Faults, ALostUpdateIsFound) {
  EXPECT_EQ(count_twice(Version::faulty).failure, "an update was lost");
}

TEST(Faults, AnAddLosesNoUpdate) {
  const Verdict verdict = count_twice(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// Three requests at a limit of two.
Verdict admit_three_of_two(Version version) {
  struct {
    Word spent;
    std::uint64_t admitted = 0;
  } memory;
  const auto admit = [&] {
    std::uint64_t spent = memory.spent.load(kOrder);
    while (spent < 2) {
      if (version == Version::faulty) {
        memory.spent.store(spent + 1, kOrder);
        return true;
      }
      if (memory.spent.compare_exchange(spent, spent + 1, kOrder)) return true;
    }
    return false;
  };
  Program program;
  program.shared(memory, "memory").name(memory.spent, "spent");
  for (const char* const name : {"first", "second", "third"}) {
    program.process(name, [&] { memory.admitted += admit() ? 1 : 0; });
  }
  program.invariant([&] { return unless(memory.admitted <= 2, "more were admitted than the limit"); });
  return explore(program, {.max_kills = 1});
}

TEST(Faults, CheckThenActOverAdmits) {
  EXPECT_EQ(admit_three_of_two(Version::faulty).failure, "more were admitted than the limit");
}

TEST(Faults, CompareExchangeNeverOverAdmits) {
  const Verdict verdict = admit_three_of_two(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// One process changes two words from {0, 0} to {1, 1}, and another reads them.
Verdict read_two_words(Version version) {
  PairWord state;
  Program program;
  program.shared(state, "state");
  program.process("writer", [&] {
    Pair expected{0, 0};
    program.require(state.compare_exchange(expected, {1, 1}), "no other process writes");
  });
  program.process("reader", [&] {
    Pair seen{0, 0};
    if (version == Version::cured) {
      (void)state.compare_exchange(seen, seen);  // whether done or not, `seen` is of one moment
    } else {
      seen = {state.load_first(kOrder), state.load_second(kOrder)};
    }
    program.require(seen.first == seen.second, "two halves of different moments");
  });
  return explore(program);
}

TEST(Faults, ATornReadOfTwoWordsIsFound) {
  const Verdict verdict = read_two_words(Version::faulty);
  EXPECT_EQ(verdict.failure, "two halves of different moments");
  EXPECT_THAT(verdict.story, HasSubstr("writer       exchange  state: {0, 0} -> {1, 1}\n"));
}

TEST(Faults, APairIsReadWhole) {
  const Verdict verdict = read_two_words(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// A limit of one. Faulty: there is a count, and beside it the owner of the permit. Cured: there is only the
/// owner, which is the permit.
struct Permit {
  Version version;
  Word count;
  Word owner;

  bool take(std::uint64_t self) {
    std::uint64_t none = 0;
    if (version == Version::cured) return owner.compare_exchange(none, self, kOrder);
    if (!count.compare_exchange(none, 1, kOrder)) return false;
    owner.store(self, kOrder);  // killed before this: the permit is taken, but has no owner
    return true;
  }

  void sweep(std::uint64_t dead) {
    if (!owner.compare_exchange(dead, kNobody, kOrder)) return;
    if (version == Version::faulty) count.store(0, kOrder);
  }

  [[nodiscard]] bool taken() const { return (version == Version::cured ? owner : count).load(kOrder) != 0; }
};

Verdict kill_a_taker(Version version) {
  Permit permit{version, Word(), Word()};
  Program program;
  program.shared(permit, "permit").name(permit.count, "count").name(permit.owner, "owner");
  const ProcessId taker = program.process("taker", [&] { permit.take(1); });
  program.process("sweeper", [&] {
    if (!program.alive(taker)) permit.sweep(1);
  });
  program.check([&] {
    if (!program.alive(taker)) permit.sweep(1);  // the sweep of the next caller
    return unless(program.alive(taker) || !permit.taken(), "a dead process holds the permit for ever");
  });
  return explore(program, {.max_kills = 1});
}

TEST(Faults, APermitTakenBeforeItsOwnerIsRecordedLeaks) {
  const Verdict verdict = kill_a_taker(Version::faulty);
  EXPECT_EQ(verdict.failure, "a dead process holds the permit for ever");
  EXPECT_THAT(verdict.story, HasSubstr("taker        killed here, before: store owner\n"));
}

TEST(Faults, APermitThatConsistsOfItsOwnerNeverLeaks) {
  const Verdict verdict = kill_a_taker(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// A slow owner releases its permit after it was taken back and given to another.
Verdict release_late(Version version) {
  struct {
    Word owner{1};  // held by the slow process
    std::uint64_t given = 0;
  } memory;
  Program program;
  program.shared(memory, "memory").name(memory.owner, "owner");
  program.process("slow", [&] {
    std::uint64_t self = 1;
    if (version == Version::faulty) {
      memory.owner.store(kNobody, kOrder);
    } else {
      (void)memory.owner.compare_exchange(self, kNobody, kOrder);
    }
  });
  program.process("reclaimer", [&] {
    std::uint64_t late = 1;
    if (memory.owner.compare_exchange(late, 2, kOrder)) memory.given = 2;
  });
  program.check([&] {
    return unless(memory.given == 0 || memory.owner.load(kOrder) == 2, "another owner's permit was released");
  });
  return explore(program);
}

TEST(Faults, AReleaseThatDoesNotCheckTheOwnerIsFound) {
  EXPECT_EQ(release_late(Version::faulty).failure, "another owner's permit was released");
}

TEST(Faults, AReleaseByItsOwnerAloneIsSafe) {
  const Verdict verdict = release_late(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// Four requests at the same time at a limit of three: a ring of their times, and a hint where the oldest is.
/// Faulty: the oldest is the cell that is not newer than the one before it, although all times are equal.
/// Cured: each cell says in which turn it was written.
struct EqualTimes {
  static constexpr std::uint64_t kTime = 100;
  static constexpr std::uint64_t kTurn = 1;  // a cured request adds it; nothing here goes round twice

  Version version;
  std::array<Word, 3> cells;
  Word hint;

  bool admit() {
    for (std::uint64_t i = hint.load(kOrder);; i = (i + 1) % 3) {
      std::uint64_t oldest = cells[i].load(kOrder);
      const std::uint64_t before = cells[(i + 2) % 3].load(kOrder);
      const bool head = version == Version::faulty ? oldest <= before : (oldest == before) == (i == 0);
      if (!head) continue;
      if (i == 0 && oldest != 0) return false;  // no time has left the window
      const std::uint64_t mine = kTime + (version == Version::cured ? kTurn : 0);
      if (!cells[i].compare_exchange(oldest, mine, kOrder)) continue;
      hint.store((i + 1) % 3, kOrder);
      return true;
    }
  }
};

Verdict admit_four_of_three_at_once(Version version) {
  EqualTimes log{version, {}, Word()};
  std::array<std::uint64_t, 3> admitted{};
  Program program;
  program.shared(log, "log").name(log.cells, "time").name(log.hint, "hint");
  program.shared(admitted, "admitted");
  for (std::size_t p = 0; p < 3; ++p) {
    program.process(std::string(1, static_cast<char>('a' + p)), [&, p] {
      for (std::size_t requests = p == 0 ? 2 : 1; requests > 0; --requests)
        admitted[p] += log.admit() ? 1 : 0;
    });
  }
  program.invariant([&] {
    return unless(admitted[0] + admitted[1] + admitted[2] <= 3, "more were admitted than the limit");
  });
  return explore(program, {.max_preemptions = 3});
}

TEST(Faults, EqualTimesThatCannotBeToldApartOverAdmit) {
  EXPECT_EQ(admit_four_of_three_at_once(Version::faulty).failure, "more were admitted than the limit");
}

TEST(Faults, EqualTimesWithKnownTurnsNeverOverAdmit) {
  const Verdict verdict = admit_four_of_three_at_once(Version::cured);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

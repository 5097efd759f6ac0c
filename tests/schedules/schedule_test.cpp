// SPDX-License-Identifier: Apache-2.0

// The scheduler itself: it visits every interleaving once, and reports what it found.

#include "support/schedule.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sstream>

#include "base/word.hpp"

namespace weir::test {
namespace {

using detail::Word;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr Options kAll{.prune = false};

/// Adds a process that stores `times` times into a word of its own.
void add_writer(Program& program, const std::string& name, Word& word, unsigned times) {
  program.process(name, [&word, times] {
    for (unsigned i = 1; i <= times; ++i) word.store(i, kRelaxed);
  });
}

/// Two processes that each add 1 by a load and a store: the smallest race.
struct LostUpdate {
  Word counter;
  Program program;

  LostUpdate() {
    program.shared(counter, "counter");
    for (const char* const name : {"first", "second"}) {
      program.process(name, [this] {
        const std::uint64_t seen = counter.load(kRelaxed);
        counter.store(seen + 1, kRelaxed);
      });
    }
    program.check(
        [this] { return counter.load(kRelaxed) == 2 ? std::nullopt : Complaint("an update was lost"); });
  }
};

TEST(Schedule, RunsTwoProcessesOfTwoAccessesInSixWays) {
  std::array<Word, 2> words;
  Program program;
  program.shared(words, "words");
  add_writer(program, "a", words[0], 2);
  add_writer(program, "b", words[1], 2);
  const Verdict verdict = explore(program, kAll);
  EXPECT_TRUE(verdict.ok()) << verdict;
  EXPECT_EQ(verdict.executions, 6u);  // 4! / (2! 2!)
}

TEST(Schedule, RunsThreeProcessesOfTwoAccessesInNinetyWays) {
  std::array<Word, 3> words;
  Program program;
  program.shared(words, "words");
  add_writer(program, "a", words[0], 2);
  add_writer(program, "b", words[1], 2);
  add_writer(program, "c", words[2], 2);
  EXPECT_EQ(explore(program, kAll).executions, 90u);  // 6! / (2! 2! 2!)
}

TEST(Schedule, ABoundOnPreemptionsLeavesOutExactlyTheSchedulesAboveIt) {
  std::array<Word, 2> words;
  Program program;
  program.shared(words, "words");
  add_writer(program, "a", words[0], 2);
  add_writer(program, "b", words[1], 2);
  const auto executions = [&](unsigned bound) {
    return explore(program, {.max_preemptions = bound, .prune = false}).executions;
  };
  EXPECT_EQ(executions(0), 2u);  // aabb bbaa
  EXPECT_EQ(executions(1), 4u);  // and abba baab
  EXPECT_EQ(executions(2), 6u);  // and abab baba
}

TEST(Schedule, SkippingKnownStatesVisitsTheSameStates) {
  std::array<Word, 3> words;
  Program program;
  program.shared(words, "words");
  add_writer(program, "a", words[0], 3);
  add_writer(program, "b", words[1], 3);
  add_writer(program, "c", words[2], 3);
  for (const std::optional<unsigned> bound : {std::optional<unsigned>(), std::optional(1u)}) {
    const Verdict all = explore(program, {.max_kills = 1, .max_preemptions = bound, .prune = false});
    const Verdict pruned = explore(program, {.max_kills = 1, .max_preemptions = bound});
    EXPECT_EQ(pruned.states, all.states);
    EXPECT_LT(pruned.steps, all.steps);
  }
}

TEST(Schedule, SkippingKnownStatesFindsTheSameFault) {
  LostUpdate race;
  EXPECT_EQ(explore(race.program).failure, explore(race.program, kAll).failure);
}

// "first" is killed after another process overtook it, or before that. The words are the same, but only in
// the second case is a preemption left for the race of the two others.
TEST(Schedule, AStateWithMorePreemptionsLeftIsAnotherState) {
  struct {
    Word finished;
    Word counter;
    std::uint64_t added = 0;
  } memory;
  Program program;
  program.shared(memory, "memory");
  const ProcessId first = program.process("first", [&] {
    (void)memory.finished.load(kRelaxed);
    memory.finished.store(1, kRelaxed);
  });
  for (const char* const name : {"second", "third"}) {
    program.process(name, [&] {
      if (memory.finished.load(kRelaxed) != 0 || program.alive(first)) return;
      memory.counter.store(memory.counter.load(kRelaxed) + 1, kRelaxed);
      ++memory.added;
    });
  }
  program.check([&] {
    return memory.counter.load(kRelaxed) == memory.added ? std::nullopt : Complaint("an update was lost");
  });
  EXPECT_EQ(explore(program, {.max_kills = 1, .max_preemptions = 1}).failure, "an update was lost");
}

TEST(Schedule, WithoutPreemptionsProcessesRunOneAfterTheOther) {
  LostUpdate race;
  const Verdict verdict = explore(race.program, {.max_preemptions = 0, .prune = false});
  EXPECT_TRUE(verdict.ok()) << verdict;
  EXPECT_EQ(verdict.executions, 2u);
  EXPECT_FALSE(explore(race.program, {.max_preemptions = 1}).ok());
}

TEST(Schedule, KillsBeforeEveryAccessAndAfterTheLast) {
  Word word;
  Program program;
  program.shared(word, "word");
  add_writer(program, "writer", word, 3);
  std::multiset<std::uint64_t> left;
  program.check([&]() -> Complaint {
    left.insert(word.load(kRelaxed));
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .prune = false});
  EXPECT_TRUE(verdict.ok()) << verdict;
  EXPECT_THAT(left, ::testing::ElementsAre(0, 1, 2, 3, 3));  // 3 twice: killed while idle, or not at all
}

TEST(Schedule, AKilledProcessRunsNoDestructors) {
  Word word;
  struct Release {
    Word& word;
    ~Release() { word.store(7, kRelaxed); }
  };
  Program program;
  program.shared(word, "word");
  program.process("holder", [&] {
    const Release at_exit{word};
    word.store(1, kRelaxed);
    word.store(2, kRelaxed);
  });
  std::set<std::uint64_t> left;
  program.check([&]() -> Complaint {
    left.insert(word.load(kRelaxed));
    return std::nullopt;
  });
  explore(program, {.max_kills = 1});
  EXPECT_THAT(left, ::testing::ElementsAre(0, 1, 2, 7));
}

TEST(Schedule, KillsNoMoreThanAllowed) {
  Word word;
  Program program;
  program.shared(word, "word");
  const std::array all{program.process("a", [] {}), program.process("b", [] {}), program.process("c", [] {})};
  std::set<long> survivors;
  program.check([&]() -> Complaint {
    survivors.insert(std::ranges::count_if(all, [&](ProcessId each) { return program.alive(each); }));
    return std::nullopt;
  });
  explore(program, {.max_kills = 2});
  EXPECT_THAT(survivors, ::testing::ElementsAre(1, 2, 3));
}

TEST(Schedule, TellsTheFaultWithNamesValuesAndAsFewPreemptionsAsPossible) {
  LostUpdate race;
  std::ostringstream text;
  text << explore(race.program);
  EXPECT_THAT(text.str(), AllOf(HasSubstr("an update was lost\n"),
                                HasSubstr("   1  first        load      counter: 0\n"
                                          "   2  second       load      counter: 0\n"
                                          "   3  second       store     counter: 0 -> 1\n"
                                          "   4  first        store     counter: 1 -> 1\n")));
}

TEST(Schedule, TellsKillsAndWhichProcessesWereSeenAlive) {
  Word word;
  Program program;
  program.shared(word, "word");
  const ProcessId writer = program.process("writer", [&] { word.fetch_add(1, kRelaxed); });
  program.process("watcher", [&] { program.require(program.alive(writer), "the writer is dead"); });
  const Verdict verdict = explore(program, {.max_kills = 1});
  EXPECT_EQ(verdict.failure, "the writer is dead");
  EXPECT_THAT(verdict.story, HasSubstr("writer       killed here, "));
  EXPECT_THAT(verdict.story, HasSubstr("watcher      load      alive(writer): 0"));
}

TEST(Schedule, AnInvariantHoldsBetweenAnyTwoSteps) {
  Word word;
  Program program;
  program.shared(word, "word");
  add_writer(program, "writer", word, 3);
  program.invariant([&] { return word.load(kRelaxed) != 2 ? std::nullopt : Complaint("it is 2"); });
  EXPECT_EQ(explore(program).failure, "it is 2");
}

TEST(Schedule, WaitingForAnotherProcessIsAFailure) {
  Word ready;
  Program program;
  program.shared(ready, "ready");
  program.process("waiter", [&] {
    while (ready.load(kRelaxed) == 0) {
    }
  });
  program.process("setter", [&] { ready.store(1, kRelaxed); });
  const Verdict verdict = explore(program, {.max_steps = 50});
  EXPECT_THAT(verdict.failure, HasSubstr("more than 50 steps"));
}

/// One process sleeps unless it sees the word, and another writes the word and wakes it.
Verdict sleep_and_wake(bool wakes) {
  struct {
    Word word;
    std::uint64_t asleep = 0;
    std::uint64_t woken = 0;
  } memory;
  Program program;
  program.shared(memory, "memory").name(memory.word, "word").name(memory.asleep, "asleep");
  program.process("sleeper", [&] {
    if (memory.word.load(kRelaxed) != 0) return;
    memory.asleep = 1;  // together with the load, as the kernel does it
    program.sleep(memory.asleep);
    memory.woken = 1;
  });
  program.process("waker", [&] {
    memory.word.store(1, kRelaxed);
    if (wakes && memory.word.load(kRelaxed) == 1) memory.asleep = 0;
  });
  program.check([&]() -> Complaint {
    if (memory.asleep != 0) return "it sleeps for ever";
    return std::nullopt;
  });
  return explore(program, kAll);
}

TEST(Schedule, ASleeperGoesOnAsSoonAsItIsWoken) {
  const Verdict verdict = sleep_and_wake(true);
  EXPECT_TRUE(verdict.ok()) << verdict;
  // It looks before the store, and is woken; or it looks between the store and the wake, or after both.
  EXPECT_EQ(verdict.executions, 3u);
}

TEST(Schedule, ASleeperThatIsNotWokenIsFound) {
  const Verdict verdict = sleep_and_wake(false);
  EXPECT_EQ(verdict.failure, "it sleeps for ever");
  EXPECT_THAT(verdict.story, HasSubstr("load      word: 0\n"));
}

TEST(Schedule, ASleeperCanBeKilled) {
  std::uint64_t asleep = 1;
  Program program;
  program.shared(asleep, "asleep");
  const ProcessId sleeper = program.process("sleeper", [&] { program.sleep(asleep); });
  std::uint64_t killed = 0;
  program.check([&]() -> Complaint {
    killed += program.alive(sleeper) ? 0 : 1;
    return std::nullopt;
  });
  EXPECT_EQ(explore(program, {.max_kills = 1}).executions, 2u);
  EXPECT_EQ(killed, 1u);
}

TEST(Schedule, RefusesWordsThatWereNotDeclared) {
  Word word;
  Program program;
  add_writer(program, "writer", word, 1);
  EXPECT_THAT(explore(program).failure, HasSubstr("not declared"));
}

TEST(Schedule, ReportsABodyThatBehavesDifferentlyTheSecondTime) {
  Word word;
  std::uint64_t executions = 0;
  Program program;
  program.shared(word, "word");
  program.process("counter", [&] {
    word.store(++executions, kRelaxed);
    word.store(0, kRelaxed);
  });
  add_writer(program, "writer", word, 2);
  EXPECT_THAT(explore(program, kAll).failure, HasSubstr("the same choices gave different steps"));
}

TEST(Schedule, FewerStatesThanPromisedAreAFailure) {
  LostUpdate race;
  race.program.check([] { return std::nullopt; });
  const std::uint64_t states = explore(race.program).states;
  EXPECT_TRUE(explore(race.program, {.min_states = states}).ok());
  EXPECT_THAT(explore(race.program, {.min_states = states + 1}).failure, HasSubstr("were expected"));
}

TEST(Schedule, LeavesTheDeclaredMemoryAsItWas) {
  Word word(5);
  Program program;
  program.shared(word, "word");
  add_writer(program, "writer", word, 2);
  explore(program);
  EXPECT_EQ(word.load(kRelaxed), 5u);
}

}  // namespace
}  // namespace weir::test

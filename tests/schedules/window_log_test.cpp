// SPDX-License-Identifier: Apache-2.0

// The window log under every interleaving, kill and pause.

#include "primitives/window_log.hpp"

#include <array>
#include <gtest/gtest.h>
#include <numeric>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::WindowLog;
using detail::WindowParams;
using detail::Word;

constexpr std::uint64_t kNs = detail::ticks_from_ns(1);
constexpr std::uint64_t kLength = 1'000 * kNs;
constexpr std::uint64_t kNow = 10'000 * kNs;

// A log, and beside it how many admissions of each process are valid.
template <std::size_t Cells>
struct Memory {
  std::array<Word, Cells> times;
  Word hint;
  std::array<std::uint64_t, 3> standing{};

  [[nodiscard]] WindowLog log() { return {times, hint}; }
  [[nodiscard]] std::uint64_t total() const {
    return std::accumulate(standing.begin(), standing.end(), std::uint64_t{0});
  }
  /// Admits as a process that reads the clock at `now`.
  bool admit(std::size_t process, WindowParams params, std::uint64_t now, std::uint32_t cost = 1) {
    if (log().admit(params, now, cost) != 0) return false;
    standing[process] += cost;
    return true;
  }
};

template <std::size_t Cells>
void declare(Program& program, Memory<Cells>& memory) {
  program.shared(memory, "memory").name(memory.times, "time").name(memory.hint, "hint");
}

template <std::size_t Cells>
void never_more_than(Program& program, const Memory<Cells>& memory, std::uint64_t limit) {
  program.invariant([&memory, limit]() -> Complaint {
    if (memory.total() > limit) return "more were admitted than the limit";
    return std::nullopt;
  });
}

unsigned killed(const Program& program, std::size_t processes) {
  unsigned dead = 0;
  for (std::size_t p = 0; p < processes; ++p)
    dead += program.alive(ProcessId{static_cast<std::uint8_t>(p)}) ? 0 : 1;
  return dead;
}

// Fills the log with times that have left the window; they are `apart`, or all the same.
template <std::size_t Cells>
void fill(Memory<Cells>& memory, std::uint64_t apart = kNs) {
  for (std::size_t i = 0; i < Cells + 1; ++i) {
    memory.log().charge({kLength, Cells}, kNow - 5 * kLength + i * apart, 1);
  }
}

// Starts from a log that was never used, or from one that is full.
template <std::size_t Cells>
Verdict three_at_once(bool full, WindowParams params, std::uint64_t apart = kNs) {
  Memory<Cells> memory;
  if (full) fill(memory, apart);
  Program program;
  declare(program, memory);
  for (std::size_t p = 0; p < 3; ++p) {
    // The clocks disagree: the process that comes last may have read the earliest time.
    program.process(std::string(1, static_cast<char>('a' + p)),
                    [&, p] { memory.admit(p, params, kNow - 4 * apart * p); });
  }
  never_more_than(program, memory, params.limit);
  program.check([&]() -> Complaint {
    const std::uint64_t left = memory.log().available(params, kNow);
    const std::uint64_t lost = killed(program, 3);  // each of them may be counted or not
    if (left + memory.total() > params.limit) return "an admission is not counted";
    if (left + memory.total() + lost < params.limit) return "a kill cost more than one admission";
    return std::nullopt;
  });
  return explore(program, {.max_kills = 2, .max_preemptions = 4, .min_states = 500});
}

TEST(WindowLogSchedules, ThreeAtOnceNeverExceedTheLimitAndAKillLosesAtMostItsOwn) {
  for (const bool full : {false, true}) {
    const Verdict verdict = three_at_once<2>(full, {kLength, 2});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

TEST(WindowLogSchedules, ALoweredLimitIsNeverExceeded) {
  for (const bool full : {false, true}) {
    const Verdict verdict = three_at_once<3>(full, {kLength, 2});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

TEST(WindowLogSchedules, ALimitOfOneIsNeverExceeded) {
  for (const bool full : {false, true}) {
    const Verdict verdict = three_at_once<1>(full, {kLength, 1});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

// Times do not tell the cells apart: neither those that are there nor those that come.
TEST(WindowLogSchedules, EqualTimesNeverExceedTheLimit) {
  for (const bool full : {false, true}) {
    for (const Verdict& verdict :
         {three_at_once<2>(full, {kLength, 2}, 0), three_at_once<3>(full, {kLength, 2}, 0),
          three_at_once<1>(full, {kLength, 1}, 0)}) {
      EXPECT_TRUE(verdict.ok()) << verdict;
    }
  }
}

// One process is paused while another goes round the ring more than once: what the first has read is long out
// of date.
TEST(WindowLogSchedules, APausedProcessAdmitsNothingOnOutdatedCells) {
  for (const std::uint32_t limit : {1U, 2U}) {
    Memory<2> memory;
    const WindowParams params{kLength, limit};
    Program program;
    declare(program, memory);
    program.process("slow", [&] { memory.admit(0, params, kNow, limit); });
    program.process("fast", [&] {
      memory.admit(1, params, kNow, limit);
      for (std::uint64_t window = 1; window < 4; ++window) {
        const bool admitted = memory.log().admit(params, kNow + window * 2 * kLength, limit) == 0;
        program.require(admitted, "a window that is long past refuses");
      }
    });
    never_more_than(program, memory, limit);  // in the window that both of them ask for
    const Verdict verdict = explore(program, {.max_preemptions = 4, .min_states = 100});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

TEST(WindowLogSchedules, ACostOfTwoIsCountedCompletelyOrNotAtAll) {
  Memory<3> memory;
  const WindowParams params{kLength, 3};
  Program program;
  declare(program, memory);
  program.process("two", [&] { memory.admit(0, params, kNow, 2); });
  program.process("other two", [&] { memory.admit(1, params, kNow - 2 * kNs, 2); });
  never_more_than(program, memory, 3);
  program.check([&]() -> Complaint {
    const std::uint64_t left = memory.log().available(params, kNow);
    const std::uint64_t lost = 2 * killed(program, 2);
    if (left + memory.total() > 3) return "an admission is not counted";
    if (left + memory.total() + lost < 3) return "a refused one stays counted";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(WindowLogSchedules, ARefundGivesBackTheCallersOwnAndNoMore) {
  for (const bool full : {false, true}) {
    Memory<2> memory;
    if (full) fill(memory);
    const WindowParams params{kLength, 2};
    Program program;
    declare(program, memory);
    for (std::size_t p = 0; p < 2; ++p) {
      program.process(p == 0 ? "first" : "second", [&, p] {
        if (!memory.admit(p, params, kNow + p * kNs)) return;
        memory.standing[p] = 0;
        memory.log().refund(params, kNow + 5 * kNs, 1, kNow + p * kNs);
      });
    }
    program.process("stays", [&] { memory.admit(2, params, kNow - 5 * kNs); });
    never_more_than(program, memory, 2);
    program.check([&]() -> Complaint {
      const std::uint64_t left = memory.log().available(params, kNow);
      if (left + memory.total() > 2) return "more came back than was given";
      return std::nullopt;
    });
    const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 500});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

// The refunder is paused anywhere while its own time leaves the window and other admissions take the cells.
TEST(WindowLogSchedules, ALateRefundTakesNothingFromOthers) {
  for (const bool full : {false, true}) {
    Memory<2> memory;
    if (full) fill(memory);
    const WindowParams params{kLength, 2};
    constexpr std::uint64_t kLater =
        kNow + kLength + 3 * kNs;  // the refunder's time has left; that of kNow + 5 has not
    Program program;
    declare(program, memory);
    program.process("refunder", [&] {
      if (memory.log().admit(params, kNow, 1) == 0) memory.log().refund(params, kNow + 8 * kNs, 1, kNow);
    });
    program.process("other", [&] {
      memory.admit(1, params, kNow + 5 * kNs);
      memory.admit(1, params, kLater);
    });
    program.check([&]() -> Complaint {
      if (memory.log().available(params, kLater) + memory.total() > 2)
        return "another caller's admission was given back";
      return std::nullopt;
    });
    const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 100});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

TEST(WindowLogSchedules, AResetKeepsTheOrderWhicheverAdmissionComesMeanwhile) {
  Memory<2> memory;
  const WindowParams params{kLength, 1};  // below the number of cells: the order decides what is counted
  (void)memory.log().admit(params, kNow - 100 * kNs, 1);
  Program program;
  declare(program, memory);
  program.process("reset", [&] { memory.log().reset(); });
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "first" : "second", [&, p] { memory.admit(p, params, kNow - p * kNs); });
  }
  program.check([&]() -> Complaint {
    memory.log().reset();
    if (memory.log().full_in(params, kNow) != 0) return "something stays counted";
    for (int i = 0; i < 3; ++i) {
      if (memory.log().admit(params, kNow, 1) != 0) return "an empty log refuses";
      if (memory.log().admit(params, kNow - 50 * kNs, 1) == 0) return "more than the limit";
      memory.log().reset();
    }
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 4, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(WindowLogSchedules, AHintLeftBehindIsMovedByTheNextAdmission) {
  Memory<2> memory;
  const WindowParams params{kLength, 2};
  Program program;
  declare(program, memory);
  program.process("first", [&] { memory.admit(0, params, kNow); });
  program.process("second", [&] { memory.admit(1, params, kNow); });
  program.check([&]() -> Complaint {
    const std::uint64_t counted = 2 - memory.log().available(params, kNow);
    (void)memory.log().admit(params, kNow + 2 * kLength, 1);  // the next admission
    const std::uint64_t hint = memory.hint.load(std::memory_order_relaxed);
    if ((hint >> 32) * 2 + static_cast<std::uint32_t>(hint) != counted + 1) return "the hint stays behind";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 50});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

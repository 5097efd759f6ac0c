// SPDX-License-Identifier: Apache-2.0

// The window ring under every interleaving, kill and pause.

#include "primitives/window_ring.hpp"

#include <array>
#include <gtest/gtest.h>
#include <numeric>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::WindowParams;
using detail::WindowRing;
using detail::Word;

constexpr std::uint64_t kWidth = detail::ring_cell::kMinWidth;
constexpr std::uint64_t kNow = 100 * kWidth;

// Cells, and beside them how many admissions of each process are valid.
template <std::size_t Cells>
struct Memory {
  std::array<Word, Cells> cells;
  std::array<std::uint64_t, 3> standing{};

  [[nodiscard]] WindowRing ring() { return WindowRing(cells); }
  [[nodiscard]] std::uint64_t total() const {
    return std::accumulate(standing.begin(), standing.end(), std::uint64_t{0});
  }
  bool admit(std::size_t process, WindowParams params, std::uint64_t now, std::uint32_t cost = 1) {
    if (ring().admit(params, now, cost) != 0) return false;
    standing[process] += cost;
    return true;
  }
};

template <std::size_t Cells>
void declare(Program& program, Memory<Cells>& memory) {
  program.shared(memory, "memory").name(memory.cells, "cell");
}

template <std::size_t Cells>
void never_more_than(Program& program, const Memory<Cells>& memory, std::uint64_t limit) {
  program.invariant([&memory, limit]() -> Complaint {
    if (memory.total() > limit) return "more were admitted than the limit";
    return std::nullopt;
  });
}

template <std::size_t Cells>
Complaint counted(const Program& program, Memory<Cells>& memory, WindowParams params, std::uint64_t now,
                  std::size_t processes) {
  std::uint64_t lost = 0;
  for (std::size_t p = 0; p < processes; ++p)
    lost += program.alive(ProcessId{static_cast<std::uint8_t>(p)}) ? 0 : 1;
  const std::uint64_t left = memory.ring().available(params, now);
  if (left + memory.total() > params.limit) return "an admission is not counted";
  if (left + memory.total() + lost < params.limit) return "a refused one stays counted, or a kill cost more";
  return std::nullopt;
}

TEST(WindowRingSchedules, ThreeAtOnceNeverExceedTheLimitAndAKillLosesAtMostItsOwn) {
  for (const std::uint32_t limit : {1U, 2U}) {
    Memory<2> memory;
    const WindowParams params{kWidth, limit};
    Program program;
    declare(program, memory);
    for (std::size_t p = 0; p < 3; ++p) {
      program.process(std::string(1, static_cast<char>('a' + p)), [&, p] { memory.admit(p, params, kNow); });
    }
    never_more_than(program, memory, limit);
    program.check([&] { return counted(program, memory, params, kNow, 3); });
    const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 4, .min_states = 500});
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
}

// The clocks lie on both sides of an epoch's end, over cells that still hold the window before.
TEST(WindowRingSchedules, LateClocksNeverExceedTheLimitAcrossAnEpoch) {
  Memory<3> memory;
  const WindowParams params{2 * kWidth, 1};
  memory.ring().charge(params, kNow - 3 * kWidth, 1);
  memory.ring().charge(params, kNow - 4 * kWidth, 1);
  Program program;
  declare(program, memory);
  for (std::size_t p = 0; p < 3; ++p) {
    program.process(std::string(1, static_cast<char>('a' + p)),
                    [&, p] { memory.admit(p, params, kNow + kWidth - p * kWidth); });
  }
  never_more_than(program, memory, 1);
  program.check([&] { return counted(program, memory, params, kNow + kWidth, 3); });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(WindowRingSchedules, TwoRequestsNeverExceedTheLimitInAnyInterleavingWithKills) {
  Memory<2> memory;
  const WindowParams params{kWidth, 3};
  Program program;
  declare(program, memory);
  program.process("two", [&] { memory.admit(0, params, kNow, 2); });
  program.process("late two", [&] { memory.admit(1, params, kNow - kWidth, 2); });
  never_more_than(program, memory, 3);
  program.check([&]() -> Complaint {
    const std::uint64_t lost =
        (program.alive(ProcessId{0}) ? 0U : 2U) + (program.alive(ProcessId{1}) ? 0U : 2U);
    const std::uint64_t left = memory.ring().available(params, kNow);
    if (left + memory.total() > 3) return "an admission is not counted";
    if (left + memory.total() + lost < 3) return "a refused one stays counted";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// One process is paused while another uses its cell for later epochs.
TEST(WindowRingSchedules, APausedAdmissionDoesNotStayInAnOldEpoch) {
  Memory<2> memory;
  const WindowParams params{kWidth, 2};
  Program program;
  declare(program, memory);
  program.process("slow", [&] { memory.admit(0, params, kNow, 2); });
  program.process("fast", [&] {
    memory.admit(1, params, kNow, 1);
    // This fills the window with it: none of the slow process's admissions can be valid beside it.
    memory.admit(1, params, kNow + kWidth, 1);
    (void)memory.ring().admit(params, kNow + 3 * kWidth, 2);
    (void)memory.ring().admit(params, kNow + 6 * kWidth, 2);
  });
  program.check([&]() -> Complaint {
    if (memory.standing[0] == 2 && memory.standing[1] == 2) return "two windows' worth in one";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 4, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(WindowRingSchedules, APausedAdmissionDoesNotReplaceANewerEpoch) {
  Memory<2> memory;
  const WindowParams params{kWidth, 2};
  constexpr std::uint64_t kLater = kNow + 2 * kWidth;  // in the same cell
  Program program;
  declare(program, memory);
  program.process("slow", [&] { (void)memory.ring().admit(params, kNow, 1); });
  program.process("fast", [&] { memory.admit(1, params, kLater); });
  program.check([&]() -> Complaint {
    if (memory.ring().available(params, kLater) + memory.total() > 2) return "an admission is not counted";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 50});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(WindowRingSchedules, ARefundGivesBackTheCallersOwnAndNoMore) {
  Memory<2> memory;
  const WindowParams params{kWidth, 2};
  Program program;
  declare(program, memory);
  program.process("refunder", [&] {
    if (!memory.admit(0, params, kNow)) return;
    memory.standing[0] = 0;
    memory.ring().refund(params, kNow, 1, kNow);
  });
  program.process("stays", [&] { memory.admit(1, params, kNow + kWidth); });
  program.process("stays too", [&] { memory.admit(2, params, kNow); });
  never_more_than(program, memory, 2);
  program.check([&]() -> Complaint {
    if (memory.ring().available(params, kNow) + memory.total() > 2) return "more came back than was given";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

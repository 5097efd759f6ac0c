// SPDX-License-Identifier: Apache-2.0

// Lanes and counters under every interleaving, kill and pause: who owns a lane, what a reader makes of a mark that is
// being written, and of a lane that passes on.

#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "primitives/lane.hpp"
#include "primitives/metric_cell.hpp"
#include "primitives/metric_sums.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::adopt;
using detail::calls_left;
using detail::CallsLeft;
using detail::claim;
using detail::Lane;
using detail::MetricCell;
using detail::MetricFlow;
using detail::MetricWriter;
using detail::minute_of;
using detail::Word;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kStep = std::uint64_t{1} << MetricCell::kStepShift;
constexpr std::uint64_t kNow = 100 * kStep;

constexpr std::uint64_t identity(std::uint64_t number) {
  return std::uint64_t{1} << 63 | number << 32 | 0x101;
}

/// A lane whose first owner is over, and workers that want it.
struct LaneMemory {
  Lane lane;
  std::array<Word, 4> over;     ///< by worker
  std::array<Word, 4> claimed;  ///< how often each worker was told that it has the lane
};

bool claims(LaneMemory& memory, std::uint64_t worker) {
  const bool has = claim(memory.lane, identity(worker), [&](std::uint64_t owner) {
    return memory.over[(owner >> 32) & 3].load(kRelaxed) != 0;
  });
  if (has) memory.claimed[worker].fetch_add(1, kRelaxed);
  return has;
}

TEST(LaneSchedules, OneOfTwoClaimantsGetsTheLaneOfAWorkerThatIsOver) {
  LaneMemory memory;
  (void)claims(memory, 1);
  memory.over[1].store(1, kRelaxed);
  Program program;
  program.shared(memory, "memory");
  for (const std::uint64_t worker : {2U, 3U}) {
    program.process("worker " + std::to_string(worker), [&memory, worker] { (void)claims(memory, worker); });
  }
  program.check([&]() -> Complaint {
    const std::uint64_t told = memory.claimed[2].load(kRelaxed) + memory.claimed[3].load(kRelaxed);
    if (told > 1) return "both have it";
    const bool killed = !program.alive(ProcessId{0}) || !program.alive(ProcessId{1});
    if (told == 0 && !killed) return "none of them has it";
    return std::nullopt;
  });
  const Verdict verdict = explore(program);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// A claimant is stopped before its exchange. Meanwhile another one claims the lane and is over in its turn, so a third
// one gets it.
TEST(LaneSchedules, AClaimantThatWakesLateDoesNotTakeTheLaneFromItsOwner) {
  LaneMemory memory;
  (void)claims(memory, 1);
  memory.over[1].store(1, kRelaxed);
  Program program;
  program.shared(memory, "memory");
  program.process("late", [&] { (void)claims(memory, 0); });
  program.process("others", [&] {
    if (!claims(memory, 2)) return;
    memory.over[2].store(1, kRelaxed);
    (void)claims(memory, 3);
  });
  program.check([&]() -> Complaint {
    const std::uint64_t owner = memory.lane.owner.load(kRelaxed);
    if (memory.claimed[3].load(kRelaxed) == 1 && owner != identity(3))
      return "the lane was taken from its owner";
    return std::nullopt;
  });
  const Verdict verdict = explore(program);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

/// A cell in which an owner has counted as many successes as admissions, so that a copy with other numbers is of two
/// moments.
struct CellMemory {
  MetricCell cell;
  Word seen;  ///< what a reader complains of
};

std::unique_ptr<CellMemory> cell_with(std::uint64_t calls) {
  auto memory = std::make_unique<CellMemory>();
  for (std::uint64_t i = 0; i < calls; ++i) {
    MetricWriter<true>(memory->cell).admitted(kNow);
    MetricWriter<true>(memory->cell).ended(Outcome::success);
  }
  return memory;
}

enum class Reader : std::uint8_t { right, without_second_look };

/// The oldest mark that is valid eight steps later is overwritten while it is read.
Verdict read_a_mark_that_is_written(Reader how) {
  auto memory = cell_with(3);
  Program program;
  program.shared(*memory, "memory");
  program.process("owner", [&] { MetricWriter<true>(memory->cell).admitted(kNow + 8 * kStep); });
  program.process("reader", [&] {
    const MetricCell::Mark& mark = memory->cell.marks[MetricCell::step_at(kNow) % MetricCell::kMarks];
    const std::uint64_t step = mark.step.load(std::memory_order_acquire);
    const std::uint64_t admitted = mark.admitted.load(kRelaxed);
    const std::uint64_t succeeded = mark.succeeded.load(kRelaxed);
    if (step == 0 || (how == Reader::right && mark.step.load(kRelaxed) != step)) return;
    if (admitted != succeeded) memory->seen.store(1, kRelaxed);
  });
  program.check([&]() -> Complaint {
    if (memory->seen.load(kRelaxed) != 0) return "a mark of two moments";
    return std::nullopt;
  });
  return explore(program);
}

TEST(MetricSchedules, AMarkThatIsBeingWrittenIsPassedOver) {
  const Verdict verdict = read_a_mark_that_is_written(Reader::right);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(MetricSchedules, WithoutASecondLookAMarkOfTwoMomentsIsFound) {
  EXPECT_EQ(read_a_mark_that_is_written(Reader::without_second_look).failure, "a mark of two moments");
}

// The owner begins a step and counts. Whatever a reader sees, it is between what was counted before and after.
TEST(MetricSchedules, TheLastMinuteIsNeverMoreThanWasCountedInIt) {
  auto memory = cell_with(3);
  Program program;
  program.shared(*memory, "memory");
  program.process("owner", [&] { MetricWriter<true>(memory->cell).admitted(kNow + 8 * kStep); });
  program.process("reader", [&] {
    const MetricFlow minute = minute_of(memory->cell, kNow + 8 * kStep);
    if (minute.admitted > 1) memory->seen.store(1, kRelaxed);
  });
  program.check([&]() -> Complaint {
    if (memory->seen.load(kRelaxed) != 0) return "what happened more than a minute ago is counted";
    return std::nullopt;
  });
  const Verdict verdict = explore(program);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

enum class Adoption : std::uint8_t { right, tenant_first };

/// A worker that is over has left one call. Another takes its lane over, begins a call and ends it. Either may be killed.
Verdict take_over(Adoption how) {
  auto memory = std::make_unique<CellMemory>();
  MetricCell& cell = memory->cell;
  adopt(cell, identity(1));
  MetricWriter<true>(cell).admitted(kNow);
  const auto is_over = [](std::uint64_t tenant) { return tenant == identity(1); };
  Program program;
  program.shared(*memory, "memory");
  program.process("heir", [&] {
    if (how == Adoption::right) {
      adopt(cell, identity(2));
    } else {
      cell.tenant.store(identity(2), std::memory_order_release);
      cell.lost.store(detail::unfinished(cell), kRelaxed);
    }
  });
  program.process("reader", [&] {
    const CallsLeft left = calls_left(cell, is_over);
    if (left.lost != 1 || left.in_flight != 0) memory->seen.store(1, kRelaxed);
  });
  program.check([&]() -> Complaint {
    if (memory->seen.load(kRelaxed) != 0) return "the call that was lost is not lost";
    const CallsLeft left = calls_left(cell, is_over);
    if (left.lost != 1 || left.in_flight != 0) return "the call that was lost is not lost in the end";
    return std::nullopt;
  });
  return explore(program);
}

TEST(MetricSchedules, ALaneThatPassesOnLosesItsCallsOnceWhoeverIsKilled) {
  const Verdict verdict = take_over(Adoption::right);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(MetricSchedules, ALaneThatPassesOnBeforeItsLossIsWrittenIsFound) {
  EXPECT_FALSE(take_over(Adoption::tenant_first).ok());
}

}  // namespace
}  // namespace weir::test

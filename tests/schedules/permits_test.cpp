// SPDX-License-Identifier: Apache-2.0

// Permits under every interleaving, kill and pause.

#include "primitives/permits.hpp"

#include <array>
#include <gtest/gtest.h>
#include <numeric>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Owner;
using detail::Permit;
using detail::Permits;
using detail::Word;

constexpr std::uint64_t kNow = std::uint64_t{1} << 40;

// Cells, and beside them what their holders believe: 1 while a process is inside.
template <std::size_t Cells>
struct Pool {
  std::array<Word, Cells> cells;
  std::array<std::uint64_t, 3> inside{};

  [[nodiscard]] Permits permits() { return Permits(cells); }
  [[nodiscard]] std::uint64_t total() const {
    return std::accumulate(inside.begin(), inside.end(), std::uint64_t{0});
  }
};

Owner owner_of(std::size_t process) {
  return {static_cast<std::uint32_t>(process), 1};
}

// Takes a permit as an admission does: look first, then take the cell that was seen to be free.
Permit look_and_take(Permits permits, std::size_t process, std::uint32_t limit) {
  const auto free = permits.find_free(limit, 0);
  if (!free || !permits.take_at(owner_of(process), *free, kNow)) return {};
  return {detail::permit_word::make(owner_of(process), 0, kNow), *free};
}

// Frees what killed processes held; they are not inside any more.
template <std::size_t Cells>
void sweep(const Program& program, Pool<Cells>& pool, std::size_t takers) {
  std::array<bool, 3> dead{};
  for (std::size_t p = 0; p < takers; ++p) dead[p] = !program.alive(ProcessId{static_cast<std::uint8_t>(p)});
  pool.permits().reclaim([&](Owner owner) {
    if (!dead[owner.slot()]) return false;
    pool.inside[owner.slot()] = 0;
    return true;
  });
}

TEST(PermitSchedules, APermitIsNeverHeldByTwoAndIsReturnedAfterAnyKill) {
  Pool<1> pool;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "first" : "second", [&, p] {
      const Permit permit =
          p == 0 ? pool.permits().take(owner_of(p), 1, 1, 0, kNow) : look_and_take(pool.permits(), p, 1);
      if (!permit) return;
      pool.inside[p] = 1;
      program.require(pool.total() <= 1, "two hold the only permit");
      pool.inside[p] = 0;
      pool.permits().give_back(permit);
    });
  }
  program.process("sweeper", [&] { sweep(program, pool, 2); });
  program.check([&]() -> Complaint {
    sweep(program, pool, 2);
    if (pool.permits().in_use() != 0) return "a permit is lost for ever";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 50});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(PermitSchedules, PermitsOfSeveralCellsAreReturnedWholeAfterAnyKill) {
  Pool<3> pool;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "first" : "second", [&, p] {
      const Permit permit = pool.permits().take(owner_of(p), 3, 2, p == 0 ? 0 : ~0U, kNow);
      if (!permit) return;
      pool.inside[p] = 2;
      program.require(pool.total() <= 3, "more cells are held than there are");
      pool.inside[p] = 0;
      program.require(pool.permits().give_back(permit) == 2, "a cell of a living holder was missing");
    });
  }
  program.process("sweeper", [&] { sweep(program, pool, 2); });
  program.check([&]() -> Complaint {
    sweep(program, pool, 2);
    if (pool.permits().in_use() != 0) return "a cell is lost for ever";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 4, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The owner was taken for dead although it is alive (its lock was closed): what it held goes to another, and
// stays there.
TEST(PermitSchedules, ALateReleaseTakesNothingFromTheNextHolder) {
  Pool<1> pool;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  program.process("slow", [&] {
    const Permit permit = pool.permits().take(owner_of(0), 1, 1, 0, kNow);
    if (permit) pool.permits().give_back(permit);
  });
  program.process("next", [&] {
    pool.permits().reclaim([](Owner owner) { return owner == owner_of(0); });
    pool.inside[1] = pool.permits().take(owner_of(1), 1, 1, 0, kNow) ? 1 : 0;
  });
  program.check([&]() -> Complaint {
    if (pool.permits().in_use() != pool.inside[1]) return "the next holder lost its permit to a late release";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.min_states = 10});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(PermitSchedules, TakingCostsOneLookAtEachCellWhateverTheWeight) {
  constexpr std::uint32_t kWeight = 40;
  Pool<kWeight> pool;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  program.process("heavy", [&] {
    const Permit permit = pool.permits().take(owner_of(0), kWeight, kWeight, 0, kNow);
    program.require(static_cast<bool>(permit), "all cells are free");
  });
  // This takes a look and an exchange per cell; looking from the front for each would take 800 looks.
  const Verdict verdict = explore(program, {.max_steps = 2 * kWeight + 10, .min_states = kWeight});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(PermitSchedules, TwoSweepersActAsOne) {
  Pool<2> pool;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  program.process("holder", [&] { (void)pool.permits().take(owner_of(0), 2, 2, 0, kNow); });
  program.process("sweeper", [&] { sweep(program, pool, 1); });
  program.process("other sweeper", [&] { sweep(program, pool, 1); });
  program.check([&]() -> Complaint {
    sweep(program, pool, 1);
    const std::uint32_t expected = program.alive(ProcessId{0}) ? 2 : 0;
    if (pool.permits().in_use() != expected) return "a sweep killed half-way cost something";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Two of three cells are held when the limit is lowered to one: no process gets in before both were given back.
TEST(PermitSchedules, ALoweredLimitIsKeptStrictlyWhileCellsDrain) {
  Pool<3> pool;
  const Permit last = pool.permits().take(owner_of(0), 3, 1, ~0U, kNow);
  const Permit middle = pool.permits().take(owner_of(0), 2, 1, ~0U, kNow);
  pool.inside[0] = 2;
  Program program;
  program.shared(pool, "pool").name(pool.cells, "cell");
  program.process("holder", [&] {
    --pool.inside[0];
    pool.permits().give_back(middle);
    --pool.inside[0];
    pool.permits().give_back(last);
  });
  for (std::size_t p = 1; p < 3; ++p) {
    program.process(p == 1 ? "first" : "second", [&, p] {
      const Permit permit =
          p == 1 ? pool.permits().take(owner_of(p), 1, 1, 0, kNow) : look_and_take(pool.permits(), p, 1);
      if (!permit) return;
      pool.inside[p] = 1;
      program.require(pool.total() <= 1, "a permit was taken above the lowered limit");
    });
  }
  const Verdict verdict = explore(program, {.min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

namespace weir::models {
namespace {

/// One cell; what it guards is an ordinary variable, so a missing order is a data race.
struct HandOver : rl::test_suite<HandOver, 2> {
  enum { take, give_back };
  SharedWord cell;
  rl::var<int> guarded;

  void before() {
    cell.store(0, mo_relaxed);
    guarded($) = 0;
  }
  void thread(unsigned worker) {
    const int mine = static_cast<int>(worker) + 1;
    for (int round = 0; round < 2; ++round) {
      if (!cell.exchange(0, mine, order[take])) continue;
      guarded($) = mine;
      cell.exchange(mine, 0, order[give_back]);
    }
  }
};

TEST(PermitModel, WhatTheLastHolderWroteIsSeenByTheNext) {
  check<HandOver>({
      {"Permits::claim(), sync(permit)", mo_acquire, {mo_relaxed}},
      {"Permits::give_back(), sync(permit)", mo_release, {mo_relaxed}},
  });
}

/// A worker publishes its slot and takes a permit. A sweeper meets the permit, and then looks whether the
/// slot has a tenant.
struct Living : rl::test_suite<Living, 2> {
  enum { publish, take, look_at_cell, look_at_slot, reclaim };
  SharedWord slot, cell;

  void before() {
    slot.store(0, mo_relaxed);
    cell.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      slot.exchange(0, 1, order[publish]);
      cell.exchange(0, 1, order[take]);
      return;
    }
    const int permit = cell.load(order[look_at_cell]);
    if (permit != 0 && slot.load(order[look_at_slot]) != permit) cell.exchange(permit, 0, order[reclaim]);
  }
  void after() { RL_ASSERT(cell.load(mo_relaxed) == 1); }
};

TEST(PermitModel, ASweeperNeverTakesALivingWorkersPermit) {
  check<Living>({
      {"Registry::claim() publishes the slot", mo_acq_rel, {}, {mo_relaxed}},
      {"Permits::claim(), sync(owner)", mo_acq_rel, {mo_acquire, mo_relaxed}, {mo_release}},
      {"Permits::reclaim() loads the cell, sync(owner)", mo_acquire, {mo_relaxed}},
      {"Registry::identity()", mo_acquire, {}, {mo_relaxed}},
      {"Permits::reclaim() frees the cell", mo_release, {}, {mo_relaxed}},
  });
}

/// The limit is 2, there are three cells, and the third has been held since before the limit was lowered. Two
/// processes take permits as prefix() lets them, while the third is given back.
struct Lowered : rl::test_suite<Lowered, 3> {
  static constexpr int kLimit = 2;
  std::array<SharedWord, 3> cells;

  void before() {
    for (int i = 0; i < 3; ++i) cells[i].store(i < kLimit ? 0 : 9, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 2) {
      cells[2].exchange(9, 0, mo_release);
      return;
    }
    int beyond = cells[2].load(mo_relaxed) != 0 ? 1 : 0;
    int usable = kLimit;
    while (usable > 0 && usable + beyond > kLimit) beyond += cells[--usable].load(mo_relaxed) != 0 ? 1 : 0;
    for (int i = 0; i < usable; ++i) {
      if (cells[i].load(mo_relaxed) == 0 && cells[i].exchange(0, static_cast<int>(process) + 1, mo_acq_rel))
        return;
    }
  }
  void invariant() {
    int held = 0;
    for (SharedWord& cell : cells) held += cell.load(mo_relaxed) != 0 ? 1 : 0;
    RL_ASSERT(held <= kLimit);
  }
};

TEST(PermitModel, ALoweredLimitIsKeptByRelaxedLooks) {
  check<Lowered>({});
}

/// A limit goes from 1 to 2, a worker takes the second cell, and the limit goes back to 1 (written as 11).
struct Reach : rl::test_suite<Reach, 2> {
  enum { store_params, load_params };
  SharedWord params, reach, second;

  void before() {
    params.store(1, mo_relaxed);
    reach.store(1, mo_relaxed);
    second.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      reach.store(2, mo_relaxed);
      params.store(2, order[store_params]);
      second.exchange(0, 1, mo_acq_rel);
      params.store(11, order[store_params]);
    } else if (params.load(order[load_params]) == 11) {
      RL_ASSERT(reach.load(mo_relaxed) == 2);
      RL_ASSERT(second.load(mo_relaxed) == 1);
    }
  }
};

TEST(PermitModel, UnderALoweredLimitEarlierPermitsAreCounted) {
  check<Reach>({
      {"write_block() stores params, sync(reach)", mo_release, {mo_relaxed}},
      {"SharedBulkhead::limit_of(), sync(reach)", mo_acquire, {mo_relaxed}},
  });
}

}  // namespace
}  // namespace weir::models

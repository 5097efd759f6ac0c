// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

// A waiter writes (it opens the gate, or says in its seat what it lacks) and then loads the limits. A process that gives
// back frees a cell and then loads the gate and the seats. If both loads passed the writes before them, the waiter would
// sleep beside a free permit. docs/waiting.md, "Memory order".

namespace weir::models {
namespace {

/// exchange_before_load() of base/word.hpp; relaxed: left out.
void fence(rl::memory_order with) {
  if (with != mo_relaxed) rl::atomic_thread_fence(with, $);
}

/// A waiter opens the gate and looks at the cell, while the cell is given back.
struct OpenedGate : rl::test_suite<OpenedGate, 2> {
  enum { open, waiter_fence, look, give_back, releaser_fence, load_gate };
  SharedWord gate, cell;
  rl::var<int> looked_free, looked_open;

  void before() {
    gate.store(0, mo_relaxed);
    cell.store(1, mo_relaxed);
    looked_free($) = looked_open($) = 0;
  }
  void thread(unsigned process) {
    if (process == 0) {
      gate.exchange(0, 3, order[open]);
      fence(order[waiter_fence]);
      looked_free($) = cell.load(order[look]) == 0 ? 1 : 0;
    } else {
      cell.exchange(1, 0, order[give_back]);
      fence(order[releaser_fence]);
      looked_open($) = (gate.load(order[load_gate]) & 1) != 0 ? 1 : 0;
    }
  }
  void after() { RL_ASSERT(looked_free($) != 0 || looked_open($) != 0); }
};

TEST(WaitingModel, AWaiterThatOpensTheGateSeesThePermitOrIsSeen) {
  check<OpenedGate>({
      // The fence after it orders it; seq_cst alone orders nothing for a fence of the other side.
      {"Gate::open()", mo_release, {}, {mo_relaxed}},
      {"Gate::open(), fence, sync(gate)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      {"Permits::find_free()", mo_relaxed, {}},
      {"Permits::give_back()", mo_release, {}, {mo_relaxed}},  // for sync(permit)
      {"LimiterImpl::release(), fence, sync(gate)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      {"Gate::load()", mo_acquire, {}, {mo_relaxed}},  // shut_if_empty() needs it
  });
}

/// A waiter says what it lacks, looks at the cell and sleeps if its bell has not changed. The process that gives the
/// cell back rings it if it sees that.
struct SaidSeat : rl::test_suite<SaidSeat, 2> {
  enum { load_bell, say, waiter_fence, look, give_back, releaser_fence, load_seat, ring };
  SharedWord bell, seat, cell;
  rl::var<int> sleeps, bell_read;

  void before() {
    bell.store(0, mo_relaxed);
    seat.store(1, mo_relaxed);  // it lacks something else
    cell.store(1, mo_relaxed);
    sleeps($) = bell_read($) = 0;
  }
  void thread(unsigned process) {
    if (process == 0) {
      seat.exchange(1, 2, order[say]);
      fence(order[waiter_fence]);
      // Waiting::look() once more, as after each change
      bell_read($) = bell.load(order[load_bell]);
      seat.exchange(2, 3, order[say]);
      fence(order[waiter_fence]);
      sleeps($) = cell.load(order[look]) != 0 ? 1 : 0;
    } else {
      cell.exchange(1, 0, order[give_back]);
      fence(order[releaser_fence]);
      if (seat.load(order[load_seat]) == 1) return;
      int seen = 0;
      bell.compare_exchange(seen, 1, order[ring]);
    }
  }
  /// The futex call compares the bell with its newest value.
  void after() { RL_ASSERT(sleeps($) == 0 || bell.load(mo_relaxed) != bell_read($)); }
};

TEST(WaitingModel, AWaiterThatSaysWhatItLacksSeesThePermitOrIsRung) {
  check<SaidSeat>({
      // The fences order the accesses of the bell, too.
      {"Waiting::look() loads the bell", mo_acquire, {}, {mo_relaxed}},
      {"Waiting::exchange() of the seat", mo_seq_cst, {}, {mo_acq_rel, mo_relaxed}},
      {"Waiting::exchange(), fence, sync(gate)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      {"Permits::find_free()", mo_relaxed, {}},
      {"Permits::give_back()", mo_release, {}, {mo_relaxed}},
      {"ring_waiters(), fence, sync(gate)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      {"Seat::load()", mo_acquire, {}, {mo_relaxed}},
      {"ring() of a seat", mo_release, {}, {mo_relaxed}},
  });
}

/// The last waiter has left, and its process shuts the gate while another one takes a seat and opens it.
struct ShutGate : rl::test_suite<ShutGate, 2> {
  enum { take, open, load_gate, load_seat, shut };
  SharedWord gate, seat;

  void before() {
    gate.store(3, mo_relaxed);
    seat.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      seat.exchange(0, 1, order[take]);
      int seen = gate.load(mo_relaxed);
      while (!gate.compare_exchange(seen, (seen | 1) + 2, order[open])) {
      }
    } else {
      const int seen = gate.load(order[load_gate]);
      if (seat.load(order[load_seat]) != 0) return;
      gate.exchange(seen, seen & ~1, order[shut]);
    }
  }
  void after() { RL_ASSERT((gate.load(mo_relaxed) & 1) != 0 || seat.load(mo_relaxed) == 0); }
};

TEST(WaitingModel, AGateIsNotShutBeforeAWaiter) {
  check<ShutGate>({
      {"WaitingQueue::take()", mo_seq_cst, {}, {mo_acq_rel, mo_relaxed}},
      {"Gate::open(), sync(gate)", mo_release, {mo_acquire, mo_relaxed}},
      {"shut_if_empty() loads the gate, sync(gate)", mo_acquire, {mo_relaxed}},
      {"shut_if_empty() loads a seat", mo_acquire, {}, {mo_relaxed}},
      {"Gate::shut()", mo_relaxed, {}},
  });
}

}  // namespace
}  // namespace weir::models

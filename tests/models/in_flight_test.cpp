// SPDX-License-Identifier: Apache-2.0
#include "models/entry.hpp"

namespace weir::models {
namespace {

/// A call is in flight and overdue. One process reports it, which takes it out of the ring and then counts it in
/// the window; another judges, over the window and then the ring.
struct Report : rl::test_suite<Report, 2> {
  enum { leave, count, sum, look };
  SharedWord ring, window;

  void before() {
    ring.store(1, mo_relaxed);
    window.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      ring.exchange(1, 0, order[leave]);
      window.exchange(0, 1, order[count]);
    } else {
      const int counted = window.load(order[sum]);
      const int overdue = ring.load(order[look]);
      RL_ASSERT(counted + overdue <= 1);
    }
  }
};

TEST(InFlightModel, NoJudgementMeetsACallTwice) {
  check<Report>({
      {"BreakerInFlight::end()", mo_seq_cst, {}, {mo_relaxed}},
      {"BreakerWindow::count() exchanges the cell, sync(in_flight)", mo_seq_cst, {mo_relaxed, mo_acquire}},
      {"BreakerWindow::counts(), sync(in_flight)", mo_seq_cst, {mo_relaxed}, {mo_acquire}},
      // Its acquire is for the halves of one cell, as the last model shows.
      {"BreakerInFlight::overdue() loads the cell", mo_acquire, {}, {mo_relaxed}},
  });
}

/// The state is a generation, and so is the tag of a cell. A worker of generation 1 and one of generation 2 begin a
/// call in the same cell.
struct Begin : rl::test_suite<Begin, 3> {
  enum { load_cell, exchange, load_state, move };
  SharedWord state;
  Entry cell;
  rl::var<int> counted;

  void before() {
    state.store(1, mo_relaxed);
    cell.set(0, 0);
    counted($) = 0;
  }
  bool begin(int generation) {
    Seen seen{cell.tag(order[load_cell]), cell.state(order[load_cell])};
    for (;;) {
      const int calls = seen.tag == generation ? seen.state : 0;
      if (state.load(order[load_state]) != generation) return false;
      if (cell.compare_exchange(seen, {generation, calls + 1}, order[exchange])) return true;
    }
  }
  void thread(unsigned process) {
    if (process == 0) {
      begin(1);
    } else if (process == 1) {
      state.exchange(1, 2, order[move]);
    } else if (state.load(mo_relaxed) == 2) {
      counted($) = begin(2) ? 1 : 0;
    }
  }
  void after() {
    if (counted($) != 0) RL_ASSERT(cell.tag(mo_relaxed) == 2 && cell.state(mo_relaxed) == 1);
  }
};

TEST(InFlightModel, ACellOfALaterGenerationIsNeverReplaced) {
  check<Begin>({
      {"begin() loads the cell, sync(breaker)", mo_acquire, {mo_relaxed}},
      {"PairWord::compare_exchange(), sync(breaker)", mo_seq_cst, {mo_relaxed, mo_acquire, mo_release}},
      {"current() loads the state", mo_relaxed, {}},
      {"move()", mo_seq_cst, {}, {mo_relaxed}},
  });
}

/// A cell of epoch 1 holds one call, and then one of epoch 2. A judgement counts the calls of a cell as of the epoch
/// of its tag: those of another epoch may not be overdue.
struct Halves : rl::test_suite<Halves, 2> {
  static constexpr rl::iteration_t kRandomRuns = 50'000;
  enum { exchange, first, second, again };
  Entry cell;

  void before() { cell.set(1, 11); }
  void thread(unsigned process) {
    if (process == 0) {
      cell.change({2, 22}, order[exchange]);
      return;
    }
    const int tag = cell.tag(order[first]);
    const int calls = cell.state(order[second]);
    const int after = cell.tag(order[again]);
    if (tag > Entry::kMark || after > Entry::kMark || tag != after) return;
    RL_ASSERT(calls == tag * 11);
  }
};

TEST(InFlightModel, AJudgementReadsACellOfOneMoment) {
  check<Halves>({
      {"PairWord::compare_exchange()", mo_seq_cst, {mo_acquire, mo_relaxed}, {mo_release}},
      {"overdue() loads the first half", mo_acquire, {mo_relaxed}},
      {"overdue() loads the second half", mo_acquire, {mo_relaxed}},
      {"overdue() loads the first half again", mo_relaxed, {}},
  });
}

}  // namespace
}  // namespace weir::models

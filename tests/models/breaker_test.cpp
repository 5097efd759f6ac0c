// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

namespace weir::models {
namespace {

/// Failures in a row. The state is a generation; a count is generation * 10 + number.
struct Row : rl::test_suite<Row, 3> {
  enum { load_failures, failed_exchange, count, load_state, move };
  SharedWord state, failures;
  rl::var<int> counted;

  void before() {
    state.store(1, mo_relaxed);
    failures.store(0, mo_relaxed);
    counted($) = 0;
  }
  bool fail(int generation) {
    int seen = failures.load(order[load_failures]);
    while (state.load(order[load_state]) == generation) {
      const int before = seen / 10 == generation ? seen % 10 : 0;
      if (failures.compare_exchange(seen, generation * 10 + before + 1, order[count], order[failed_exchange]))
        return true;
    }
    return false;
  }
  void thread(unsigned process) {
    if (process == 0) {
      fail(1);
    } else if (process == 1) {
      state.exchange(1, 2, order[move]);
    } else if (state.load(mo_relaxed) == 2) {
      counted($) = fail(2) ? 1 : 0;
    }
  }
  void after() {
    if (counted($) != 0) RL_ASSERT(failures.load(mo_relaxed) == 21);
  }
};

TEST(BreakerModel, ACountOfALaterGenerationIsNeverReplaced) {
  check<Row>({
      {"count_in_a_row() loads failures, sync(breaker)", mo_acquire, {mo_relaxed}},
      {"count_in_a_row(), failed exchange, sync(breaker)", mo_acquire, {mo_relaxed}},
      {"count_in_a_row() exchanges failures, sync(breaker)", mo_acq_rel, {mo_acquire}},
      {"count_in_a_row() loads the state", mo_relaxed, {}},
      {"move()", mo_seq_cst, {}, {mo_relaxed}},
  });
}

/// State 1 is half-open, state 2 is open. The probe of the first process was bad; the second process would
/// probe in its cell.
struct BadProbe : rl::test_suite<BadProbe, 2> {
  enum { load_state, move, give_back, load_cell, take, look_again };
  SharedWord state, cell;

  void before() {
    state.store(1, mo_relaxed);
    cell.store(1, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      state.exchange(1, 2, order[move]);
      cell.exchange(1, 0, order[give_back]);
      return;
    }
    if (state.load(order[load_state]) != 1) return;
    if (cell.load(order[load_cell]) != 0 || !cell.exchange(0, 2, order[take])) return;
    const bool passes = state.load(order[look_again]) == 1;
    RL_ASSERT(!passes);
  }
};

TEST(BreakerModel, NoProbePassesAfterABadOne) {
  check<BadProbe>({
      {"admit_guarded() loads the state", mo_acquire, {}, {mo_relaxed}},
      // This is weaker than in the source: Relacy's order of seq_cst is that of the run, and would hide a
      // missing release.
      {"move()", mo_acq_rel, {}, {mo_relaxed}},
      {"BreakerProbes::give_back(), sync(probe)", mo_release, {mo_relaxed}},
      // The exchange covers it here. Its own order is needed for fits(), as the next model shows.
      {"BreakerProbes::take() loads the cell, sync(probe)", mo_acquire, {}, {mo_relaxed}},
      {"BreakerProbes::take() exchanges the cell", mo_seq_cst, {}, {mo_relaxed}},
      {"half_open() after the exchange", mo_seq_cst, {}, {mo_relaxed}},
  });
}

/// State 1 is half-open under two probes, state 2 is half-open under one. The first process takes the second
/// cell under the old number. The third has met the new state, and takes the first cell if fits() finds none
/// taken above.
struct FewerProbes : rl::test_suite<FewerProbes, 3> {
  enum { load_state, move, look_above, take, look_again };
  SharedWord state;
  std::array<SharedWord, 2> cells;
  std::array<rl::var<int>, 2> out;

  void before() {
    state.store(1, mo_relaxed);
    for (SharedWord& cell : cells) cell.store(0, mo_relaxed);
    for (auto& probe : out) probe($) = 0;
  }
  void thread(unsigned process) {
    if (process == 0) {
      if (!cells[1].exchange(0, 1, order[take])) return;
      if (state.load(order[look_again]) == 1) {
        out[0]($) = 1;
      } else {
        cells[1].exchange(1, 0, mo_release);
      }
    } else if (process == 1) {
      state.exchange(1, 2, order[move]);
    } else if (state.load(order[load_state]) == 2 && cells[1].load(order[look_above]) == 0) {
      if (cells[0].exchange(0, 2, order[take])) out[1]($) = state.load(order[look_again]) == 2 ? 1 : 0;
    }
  }
  void after() { RL_ASSERT(out[0]($) + out[1]($) <= 1); }
};

TEST(BreakerModel, AChangeToOneProbeNeverLetsTwoOut) {
  check<FewerProbes>({
      // This is needed so that fits() looks after the transition also in the order of seq_cst. Relacy cannot
      // show it, because its order of seq_cst is the one of the run.
      {"admit_guarded() loads the state, sync(probes)", mo_acquire, {}},
      {"move(), sync(probes)", mo_seq_cst, {mo_acq_rel}},
      {"fits() loads the cells above, sync(probes)", mo_seq_cst, {mo_acquire}},
      {"BreakerProbes::take() exchanges the cell, sync(probes)", mo_seq_cst, {mo_acq_rel}},
      {"half_open() after the exchange, sync(probes)", mo_seq_cst, {mo_acquire}},
  });
}

/// Two processes count in different cells of the window, and then sum them up.
struct TwoCount : rl::test_suite<TwoCount, 2> {
  enum { load_cell, count, sum };
  std::array<SharedWord, 2> cells;
  std::array<rl::var<int>, 2> seen;

  void before() {
    for (SharedWord& cell : cells) cell.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    cells[process].exchange(cells[process].load(order[load_cell]), 1, order[count]);
    int total = 0;
    for (SharedWord& cell : cells) total += cell.load(order[sum]);
    seen[process]($) = total;
  }
  void after() { RL_ASSERT(seen[0]($) == 2 || seen[1]($) == 2); }
};

TEST(BreakerModel, OfTwoProcessesThatCountAtOnceOneSeesBoth) {
  check<TwoCount>({
      // Its acquire is for sync(breaker), as in the first model.
      {"BreakerWindow::count() loads the cell", mo_acquire, {}, {mo_relaxed}},
      {"BreakerWindow::count() exchanges the cell", mo_seq_cst, {mo_acq_rel}},
      {"BreakerWindow::counts()", mo_seq_cst, {mo_acquire}},
  });
}

}  // namespace
}  // namespace weir::models

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <initializer_list>

#include "models/model.hpp"

namespace weir::models {
namespace {

/// A log of admission times, with the search, admission and refund of window_log.hpp. A cell is time * 128 +
/// lap * 2, plus 1 if it was given back; 0 means never used. A hint is turn * size + index.
class Log {
 public:
  enum { load_hint, load_oldest, load_newest, load_at, push_time, move_hint, proof, load_refund, give_back };
  static constexpr int kLength = 100;

  struct Head {
    int hint, at;
    int oldest;       // the cell
    int newest, lap;  // the time before it; the lap that comes next
  };
  static constexpr int make(int time, int lap) { return time << 7 | lap << 1; }

  void set(int size, int limit, std::initializer_list<int> times, int hint = 0) {
    size_ = size;
    limit_ = limit;
    for (SharedWord& cell : cells_) cell.store(0, mo_relaxed);
    for (int i = 0; const int time : times) cells_[i++].store(make(time, 0), mo_relaxed);
    hint_.store(hint, mo_relaxed);
  }

  /// @return 0 if it is admitted; otherwise the wait.
  int admit(int now) {
    for (;;) {
      const Head head = find_head();
      const int wait = blocked_for(head, now);
      if (wait == 0) {
        if (push(head, now)) return 0;
      } else if (cell(head.at).load(order[proof]) == head.oldest) {
        return wait;
      }
    }
  }
  bool push(Head head, int now) {
    const int mine = make(std::max(now, head.newest), head.lap);
    if (!cell(head.at).exchange(head.oldest, mine, order[push_time])) return false;
    hint_.exchange(head.hint, head.at + 1, order[move_hint]);
    return true;
  }
  /// Admits as a process that is killed before it moves the hint. Only for a ring that was never used.
  bool push_and_die(int now) { return cells_[0].exchange(0, make(now, 1), order[push_time]); }

  void refund(int now, int charged_at) {
    if (leaves_in(charged_at, now) == 0) return;
    const int gone_at = charged_at + kLength;
    const Head head = find_head();
    if (head.newest >= gone_at) return;
    for (int back = size_; back > 0; --back) {
      const int at = head.at + size_ - back;
      int seen = cell(at).load(order[load_refund]);
      if (time_of(seen) >= gone_at) return;
      if (lap_of(seen) != (at % size_ < head.at % size_ ? head.lap : head.lap - 1)) continue;
      if ((seen & 1) != 0 || leaves_in(time_of(seen), now) == 0) continue;
      if (cell(at).compare_exchange(seen, seen | 1, order[give_back]) || time_of(seen) >= gone_at) return;
    }
  }

 private:
  SharedWord& cell(int at) { return cells_[at % size_]; }
  static int time_of(int cell) { return cell >> 7; }
  static int lap_of(int cell) { return cell >> 1 & 63; }
  static int leaves_in(int time, int now) {
    if (time == 0) return 0;
    return time >= now ? time - now + kLength : std::max(0, kLength - (now - time));
  }
  Head find_head() {
    for (;;) {
      const int seen = hint_.load(order[load_hint]);
      Head head{seen, seen, 0, 0, 0};
      for (int step = 0; step < size_; ++step, ++head.at) {
        const bool first = head.at % size_ == 0;
        head.oldest = cell(head.at).load(order[load_oldest]);
        const int newest = cell(head.at + size_ - 1).load(order[load_newest]);
        if ((lap_of(newest) == lap_of(head.oldest)) != first) continue;
        head.newest = time_of(newest);
        head.lap = lap_of(newest) + (first ? 1 : 0);
        return head;
      }
    }
  }
  int blocked_for(const Head& head, int now) {
    for (int back = limit_; back <= size_; ++back) {
      const int at = back == size_ ? head.oldest : cell(head.at + size_ - back).load(order[load_at]);
      const int wait = leaves_in(time_of(at), now);
      if (wait == 0 || (at & 1) == 0) return wait;
    }
    return 0;
  }

  int size_ = 0;
  int limit_ = 0;
  std::array<SharedWord, 3> cells_;
  SharedWord hint_;
};

/// The orders of the log; `needed` lists those that a promise needs. The bound needs none: a lap tells a cell
/// that was never used from one that was, and all admissions exchange the same cell. charge(), reset() and
/// costs above 1 are not modelled, so the other orders stay as they are.
std::vector<Access> log_orders(std::initializer_list<int> needed) {
  std::vector<Access> accesses{
      {"WindowLog::find_head() loads the hint", mo_acquire, {}},
      {"WindowLog::find_head() loads the oldest", mo_acquire, {}},
      {"WindowLog::find_head() loads the newest", mo_acquire, {}},
      {"WindowLog::at()", mo_acquire, {}},
      {"WindowLog::push() exchanges the oldest", mo_acq_rel, {}},
      {"WindowLog::push() moves the hint", mo_release, {}},
      {"WindowLog::stood_still()", mo_acquire, {}},
      {"WindowLog::refund() loads", mo_acquire, {}},
      {"WindowLog::refund() exchanges", mo_acq_rel, {}},
  };
  for (const int access : needed) accesses[access].too_weak = {mo_relaxed};
  return accesses;
}

/// Two requests at once under a limit of 1. `kUsed`: the ring was filled once, and has old times in it.
template <bool kUsed>
struct TwoAtOnce : rl::test_suite<TwoAtOnce<kUsed>, 2> {
  static constexpr rl::iteration_t kRandomRuns = 30'000;
  Log log;
  std::array<rl::var<int>, 2> admitted;

  void before() {
    kUsed ? log.set(2, 1, {2, 4}) : log.set(2, 1, {});
    for (auto& one : admitted) one($) = 0;
  }
  void thread(unsigned process) {
    admitted[process]($) = log.admit(200 + 2 * static_cast<int>(process)) == 0 ? 1 : 0;
  }
  void after() { RL_ASSERT(admitted[0]($) + admitted[1]($) == 1); }
};

/// The limit is 2, and one of three processes is killed before it moves the hint.
struct OneDies : rl::test_suite<OneDies, 3> {
  static constexpr rl::iteration_t kRandomRuns = 30'000;
  Log log;
  std::array<rl::var<int>, 3> admitted;

  void before() {
    log.set(3, 2, {});
    for (auto& one : admitted) one($) = 0;
  }
  void thread(unsigned process) {
    const int now = 10 + 2 * static_cast<int>(process);
    admitted[process]($) = (process == 0 ? log.push_and_die(now) : log.admit(now) == 0) ? 1 : 0;
  }
  void after() { RL_ASSERT(admitted[0]($) + admitted[1]($) + admitted[2]($) <= 2); }
};

TEST(WindowLogModel, NoWindowHoldsMoreThanTheLimit) {
  check<TwoAtOnce<false>>(log_orders({}));
  check<TwoAtOnce<true>>(log_orders({}));
  check<OneDies>(log_orders({}));
}

/// The admission of 10 is given back late, when its cell may hold another.
struct LateRefund : rl::test_suite<LateRefund, 2> {
  static constexpr rl::iteration_t kRandomRuns = 30'000;
  Log log;

  void before() { log.set(1, 1, {10}, 1); }
  void thread(unsigned process) {
    if (process == 0) return log.refund(105, 10);
    const bool first = log.admit(112) == 0;
    const bool second = log.admit(130) == 0;
    RL_ASSERT(first && !second);
  }
};

TEST(WindowLogModel, ALateRefundGivesBackNoOtherAdmission) {
  check<LateRefund>(log_orders({}));
}

/// Another process admits at 106 and 108 while a request waits behind {2, 4, 6} under a limit of 2.
struct ExactWait : rl::test_suite<ExactWait, 2> {
  static constexpr rl::iteration_t kRandomRuns = 30'000;
  Log log;

  void before() { log.set(3, 2, {2, 4, 6}); }
  void thread(unsigned process) {
    if (process == 0) {
      log.push({0, 0, Log::make(2, 0), 6, 1}, 106);
      log.push({1, 1, Log::make(4, 0), 106, 1}, 108);
    } else {
      const int wait = log.admit(10);
      RL_ASSERT(wait == 94 || wait == 96 || wait == 196);
    }
  }
};

TEST(WindowLogModel, ARefusalsWaitWasRightAtOneMoment) {
  check<ExactWait>(log_orders({Log::load_at, Log::push_time}));
}

/// A ring of three counts under a limit of 1, and a window of two epochs. A cell is epoch * 10 + count.
template <bool kSameEpoch>
struct Ring : rl::test_suite<Ring<kSameEpoch>, 2> {
  static constexpr rl::iteration_t kRandomRuns = 50'000;
  enum { sum_before, sum_after, load_cell, charge, take_back };
  static constexpr int kLimit = 1;
  std::array<SharedWord, 3> cells;
  std::array<rl::var<int>, 2> admitted;

  struct Sum {
    int newest, count;
  };

  void before() {
    for (SharedWord& cell : cells) cell.store(0, mo_relaxed);
    for (auto& one : admitted) one($) = 0;
  }
  Sum sum_at(int own, rl::memory_order with) {
    for (Sum sum{own, 0};;) {
      int newest = sum.newest;
      sum.count = 0;
      for (SharedWord& word : cells) {
        const int cell = word.load(with);
        newest = std::max(newest, cell / 10);
        if (cell / 10 <= sum.newest && sum.newest - cell / 10 < 2) sum.count += cell % 10;
      }
      if (newest == sum.newest) return sum;
      sum.newest = newest;
    }
  }
  bool add(int epoch) {
    SharedWord& word = cells[epoch % 3];
    int cell = word.load(order[load_cell]);
    while (cell / 10 <= epoch) {
      const int next = (cell / 10 == epoch ? cell : epoch * 10) + 1;
      if (word.compare_exchange(cell, next, order[charge])) return true;
    }
    return false;
  }
  void undo(int epoch) {
    SharedWord& word = cells[epoch % 3];
    int cell = word.load(mo_relaxed);
    while (cell / 10 == epoch && cell % 10 >= 1 && !word.compare_exchange(cell, cell - 1, order[take_back])) {
    }
  }
  bool admit(int now) {
    Sum sum = sum_at(now, order[sum_before]);
    while (sum.count + 1 <= kLimit) {
      const int epoch = sum.newest;
      if (add(epoch)) {
        sum = sum_at(now, order[sum_after]);
        if (sum.newest == epoch && sum.count <= kLimit) return true;
        undo(epoch);
        if (sum.newest == epoch) return false;
      }
      sum = sum_at(now, order[sum_before]);
    }
    return false;
  }
  void thread(unsigned process) {
    admitted[process]($) = admit(kSameEpoch ? 1 : 1 + static_cast<int>(process)) ? 1 : 0;
  }
  void after() { RL_ASSERT(admitted[0]($) + admitted[1]($) <= kLimit); }
};

TEST(WindowRingModel, NoWindowHoldsMoreThanTheLimit) {
  check<Ring<false>>({
      // One function sums before and after a charge, so the loads before it have the order that those after
      // it need.
      {"WindowRing::sum_at() before the charge", mo_seq_cst, {}, {mo_relaxed}},
      {"WindowRing::sum_at() after the charge, sync(charge)", mo_seq_cst, {mo_acquire}},
      {"WindowRing::add() loads the cell", mo_relaxed, {}},
      {"WindowRing::add() exchanges the cell, sync(charge)", mo_seq_cst, {mo_acq_rel}},
      {"WindowRing::take_back()", mo_relaxed, {}},
  });
  check<Ring<true>>({
      {"WindowRing::sum_at() before the charge", mo_seq_cst, {}, {mo_relaxed}},
      {"WindowRing::sum_at() after the charge", mo_seq_cst, {}},
      {"WindowRing::add() loads the cell", mo_relaxed, {}},
      {"WindowRing::add() exchanges the cell", mo_seq_cst, {}},
      {"WindowRing::take_back()", mo_relaxed, {}},
  });
}

}  // namespace
}  // namespace weir::models

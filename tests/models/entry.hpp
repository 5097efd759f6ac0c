// SPDX-License-Identifier: Apache-2.0
#pragma once

// A pair of shared words in a model: an entry of a user, or a cell of a breaker.

#include "models/model.hpp"

namespace weir::models {

struct Seen {
  int tag, state;
};

/// Works like PairWord of base/word.hpp: two words that change as one, and plain loads of each half.
class Entry {
 public:
  void set(int tag, int state) {
    tag_.store(tag, mo_relaxed, $);
    state_.store(state, mo_relaxed, $);
  }
  [[nodiscard]] int tag(rl::memory_order with) { return tag_.load(with, $); }
  [[nodiscard]] int state(rl::memory_order with) { return state_.load(with, $); }

  /// This is no more than a seq_cst exchange of each half in one step. (GCC documents __sync as a full
  /// barrier, which would be stronger.)
  bool compare_exchange(Seen& expected, Seen desired, rl::memory_order with) {
    return in_one_step([&] {
      const bool done = tag_.debug_value() == expected.tag && state_.debug_value() == expected.state;
      if (done) {
        state_.exchange(desired.state, with, $);
        tag_.exchange(desired.tag, with, $);
      } else {  // an exchange that fails reads the newest value
        expected = {-1, -1};
        tag_.compare_exchange_strong(expected.tag, 0, with, $, mo_acquire, $);
        state_.compare_exchange_strong(expected.state, 0, with, $, mo_acquire, $);
      }
      return done;
    });
  }

  /// An exchange that succeeds, for a model in which meeting one half must show the other. The tag is first
  /// written with a mark, and an execution that reads the mark does not count.
  static constexpr int kMark = 100;
  void change(Seen to, rl::memory_order with) {
    in_one_step([&] {
      tag_.exchange(to.tag + kMark, with, $);
      state_.exchange(to.state, with, $);
      tag_.exchange(to.tag, with, $);
      return true;
    });
  }

 private:
  template <class Step>
  static bool in_one_step(Step&& step) {
    rl::context& context = rl::ctx();
    context.sched();
    context.disable_preemption();
    const bool done = step();
    context.enable_preemption();
    return done;
  }

  rl::atomic<int> tag_, state_;
};

}  // namespace weir::models

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The protocols of the shared words under the C++ memory model: Relacy runs a small copy of each, and gives
// loads the stale values that the model allows.
//
// A model is a copy, so each access names the point in the source whose order it has. `check<Model>()` runs
// it with the orders of the source, which must hold, and then weakens one order at a time: if an order is
// needed, the model must fail.
//
// Limits    Relacy gives no load a value that is written later, keeps the writes of one word in the order in
//           which they ran, and lets a failed exchange read the newest value. So "holds" means: against stale
//           loads. A full search goes one store back, a random one two.

#include <array>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <relacy/relacy.hpp>  // after all others: it makes macros of these words
#include <string>
#include <vector>

#include "support/fork.hpp"
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

namespace weir::models {

using rl::mo_acq_rel, rl::mo_acquire, rl::mo_relaxed, rl::mo_release, rl::mo_seq_cst;

/// Works like Word of base/word.hpp.
class SharedWord {
 public:
  [[nodiscard]] int load(rl::memory_order with) { return value_.load(with, $); }
  void store(int value, rl::memory_order with) { value_.store(value, with, $); }
  bool compare_exchange(int& expected, int desired, rl::memory_order success,
                        rl::memory_order failure = mo_relaxed) {
    return value_.compare_exchange_strong(expected, desired, success, $, failure, $);
  }
  /// An exchange of which only success or failure matters.
  bool exchange(int expected, int desired, rl::memory_order with) {
    return compare_exchange(expected, desired, with);
  }

 private:
  rl::atomic<int> value_;
};

/// One access of a model, and the weaker orders that break the promise. Those in `enough` keep it; if the
/// order in the source is stronger, the source says why.
struct Access {
  const char* what;
  rl::memory_order built;
  std::vector<rl::memory_order> too_weak;
  std::vector<rl::memory_order> enough{};
};

/// The orders of the running model, by the position of the access in its list.
inline std::array<rl::memory_order, 16> order;

inline const char* name_of(rl::memory_order of) {
  switch (of) {
    case mo_relaxed:
      return "relaxed";
    case mo_acquire:
      return "acquire";
    case mo_release:
      return "release";
    case mo_acq_rel:
      return "acq_rel";
    default:
      return "seq_cst";
  }
}

enum class Found { holds = 0, fails = 1, broken_model = 2 };

/// Searches in a child, because Relacy cannot be used again after a failure.
/// @param random_runs  0: all interleavings.
template <class Model>
Found search(rl::iteration_t random_runs) {
  const int found = test::in_child([&] {
    std::ofstream quiet("/dev/null");
    rl::test_params params;
    params.search_type = random_runs != 0 ? rl::random_scheduler_type : rl::fair_full_search_scheduler_type;
    params.iteration_count = random_runs;
    params.output_stream = params.progress_stream = &quiet;
    const bool holds = rl::simulate<Model>(params);
    const bool broken = params.test_result == rl::test_result_user_assert_failed ||
                        params.test_result == rl::test_result_data_race;
    return static_cast<int>(holds ? Found::holds : broken ? Found::fails : Found::broken_model);
  });
  return found >= 0 ? static_cast<Found>(found) : Found::broken_model;
}

/// Models with more interleavings than can be visited say how many to try at random.
template <class Model>
constexpr rl::iteration_t random_runs() {
  if constexpr (requires { Model::kRandomRuns; }) return Model::kRandomRuns;
  return 0;
}

template <class Model>
void expect(const std::string& what, Found wanted) {
  const Found found = search<Model>(random_runs<Model>());
  std::printf("  %-90s %s\n", what.c_str(), found == Found::holds ? "holds" : "fails");
  std::fflush(stdout);
  EXPECT_EQ(static_cast<int>(found), static_cast<int>(wanted)) << what;
}

template <class Model>
void check(const std::vector<Access>& accesses) {
  for (std::size_t i = 0; i < accesses.size(); ++i) order[i] = accesses[i].built;
  expect<Model>("as built", Found::holds);
  for (std::size_t i = 0; i < accesses.size(); ++i) {
    const auto try_weaker = [&](const std::vector<rl::memory_order>& weaker, Found wanted) {
      for (const rl::memory_order weakened : weaker) {
        order[i] = weakened;
        expect<Model>(
            std::string(accesses[i].what) + ": " + name_of(accesses[i].built) + " -> " + name_of(weakened),
            wanted);
      }
    };
    try_weaker(accesses[i].too_weak, Found::fails);
    try_weaker(accesses[i].enough, Found::holds);
    order[i] = accesses[i].built;
  }
}

}  // namespace weir::models

// SPDX-License-Identifier: Apache-2.0

// A worker is stopped between looking a window up and using it, and meanwhile the window becomes one of another kind.
// What the worker then writes is not taken for words of the new kind.

#include "policy/shared_window.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace)

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kSecond = ticks_from_ns(1'000'000'000);
constexpr std::uint64_t kNow = 3605 * kSecond;  // 55 s before the end of a minute

struct Memory {
  std::unique_ptr<LimitRecord> record = std::make_unique<LimitRecord>();
  std::vector<Word> cells = std::vector<Word>(256);

  SharedWindow window() { return {*record, cells, 0}; }
  void put(CellRange range) { record->cells.store(range.word(), kRelaxed); }
  void put(packed::WindowParams params) { record->params.store(packed::window(params), kRelaxed); }
};

TEST(SharedWindow, ALateTimeOfALogIsNotACountOfARing) {
  Memory memory;
  memory.put(CellRange{0, 9});
  memory.put({4, WindowKind::log, 60'000});
  memory.put(CellRange{9, 60});
  SharedWindow late = memory.window();
  memory.put({1000, WindowKind::ring, 60'000});
  memory.window().reset();
  EXPECT_EQ(late.admit(kNow, 1), 0U);
  EXPECT_EQ(memory.window().wait(kNow + kSecond, 1), 0U);
  EXPECT_EQ(memory.window().available(kNow + kSecond), 1000U);
  int admitted = 0;
  for (int i = 0; i < 1100; ++i) admitted += memory.window().admit(kNow + 2 * kSecond, 1) == 0 ? 1 : 0;
  EXPECT_EQ(admitted, 1000);
}

TEST(SharedWindow, TheTimesOfALogAreNotCountsOfARing) {
  Memory memory;
  memory.put(CellRange{0, 9});
  memory.put({4, WindowKind::log, 60'000});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(memory.window().admit(kNow, 1), 0U);
  memory.put({1000, WindowKind::ring, 60'000});
  EXPECT_LE(memory.window().wait(kNow + kSecond, 1), 60 * kSecond);
}

TEST(SharedWindow, ALateCountOfAFixedWindowDoesNotMoveTheHintOfALog) {
  Memory memory;
  memory.put({10, WindowKind::fixed, 60'000});
  SharedWindow late = memory.window();
  memory.put(CellRange{0, 8});
  memory.put({2, WindowKind::log, 60'000});
  memory.window().reset();
  int admitted = 0;
  for (int i = 0; i < 20; ++i)
    admitted += memory.window().admit(kNow + static_cast<std::uint64_t>(i), 1) == 0;
  EXPECT_EQ(admitted, 2);
  EXPECT_EQ(late.admit(kNow + 30, 5), 0U);
  for (int i = 0; i < 20; ++i)
    EXPECT_NE(memory.window().admit(kNow + 40 + static_cast<std::uint64_t>(i), 1), 0U) << i;
}

}  // namespace
}  // namespace weir

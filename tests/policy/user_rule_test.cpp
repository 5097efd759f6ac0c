// SPDX-License-Identifier: Apache-2.0

// The state of a user's window is read under another length or kind than the one it was written under.

#include "policy/user_rule.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kMs = kTicksPerMs;
constexpr std::uint64_t kHour = 3'600'000 * kMs;
constexpr LimitRef kPlace{kFirstOperation, kScopeLimits + kFirstWindow};

struct Memory {
  Memory() {
    sections.blocks = blocks;
    sections.created_wall_ns = 1'700'000'000'123'456'789;
  }
  LimitRecord& record() { return blocks[kPlace.block].limits[kPlace.index]; }
  UserRule rule() { return UserRule::of(sections, kPlace); }
  void set(packed::WindowParams params) {
    record().params.store(packed::window(params), std::memory_order_relaxed);
  }
  void change(packed::WindowParams params, std::uint64_t now) {
    record().before.store(record().params.load(std::memory_order_relaxed), std::memory_order_relaxed);
    record().changed.store(now, std::memory_order_relaxed);
    set(params);
  }

  std::vector<Block> blocks = std::vector<Block>(2);
  Sections sections;
};

// A worker was stopped inside the first admission of a user, while the length was changed, and writes late.
TEST(UserRule, ALateStateOfAShorterWindowLocksNobodyOut) {
  for (const std::uint64_t age : {0 * kMs, 3'000 * kMs, kHour, 30 * kHour + 17 * kMs}) {
    for (const WindowKind kind : {WindowKind::weighted, WindowKind::fixed}) {
      Memory memory;
      memory.set({1, kind, 100});
      const UserRule late = memory.rule();
      memory.change({1, WindowKind::weighted, 3'600'000}, age + 5 * kMs);
      const std::uint64_t written = late.judge(0, age, 1).charged;
      const std::uint64_t wait = memory.rule().wait(written, age + 10 * kMs, 1);
      EXPECT_GT(wait, 0U) << "what the late worker admitted counts";
      EXPECT_LE(wait, 2 * kHour) << age / kMs;
    }
  }
}

TEST(UserRule, CountsWhatCameBeforeAChangeAsOfTheChange) {
  for (const std::uint64_t after : {100U, 60'000U, 7'200'000U}) {
    Memory memory;
    memory.set({10, WindowKind::weighted, 3'600'000});
    const std::uint64_t then = 30 * kHour + kMs;
    std::uint64_t state = 0;
    for (int i = 0; i < 7; ++i) state = memory.rule().judge(state, then, 1).charged;
    memory.change({10, WindowKind::weighted, after}, then + kMs);
    EXPECT_EQ(memory.rule().available(state, then + 2 * kMs), 3U) << after;
    for (int i = 0; i < 3; ++i) state = memory.rule().judge(state, then + 2 * kMs, 1).charged;
    EXPECT_EQ(memory.rule().available(state, then + 2 * kMs), 0U) << after;
    EXPECT_EQ(memory.rule().available(state, then + 3 * after * kMs), 10U) << after;
  }
}

TEST(UserRule, AnOldStateThatWasAtRestStaysAtRest) {
  Memory memory;
  memory.set({10, WindowKind::weighted, 60'000});
  const std::uint64_t state = memory.rule().judge(0, kHour, 10).charged;
  memory.change({10, WindowKind::weighted, 3'600'000}, 2 * kHour);
  const std::uint64_t settled = memory.rule().settled_for_good(state, 2 * kHour + kMs);
  EXPECT_EQ(memory.rule().available(settled, 2 * kHour + kMs), 10U);
  EXPECT_EQ(memory.rule().debt(settled, 2 * kHour + kMs), 0U);
}

}  // namespace
}  // namespace weir

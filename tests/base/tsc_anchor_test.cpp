// SPDX-License-Identifier: Apache-2.0
#include "base/tsc_anchor.hpp"

#include <gtest/gtest.h>
#include <random>

namespace weir::detail {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A counter of 2 GHz and a clock, both turned by hand, and a thread that tells the time by them.
class World {
 public:
  /// Time passes. @param slew  by how much faster the clock runs than the counter says: 0.001 is 0.1 %.
  void pass(std::int64_t ns, double slew = 0) {
    counter_ += static_cast<std::uint64_t>(ns) * 2;
    clock_ns_ += static_cast<double>(ns) * (1 + slew);
  }
  void jump_counter(std::int64_t ns) { counter_ += static_cast<std::uint64_t>(ns * 2); }
  void jump_clock(std::int64_t ns) { clock_ns_ += static_cast<double>(ns); }

  [[nodiscard]] std::int64_t clock() const { return static_cast<std::int64_t>(clock_ns_); }
  [[nodiscard]] std::optional<std::int64_t> read() { return anchor_.read(counter_); }

  /// Looks at the clock, which takes `width`.
  std::int64_t look(std::int64_t width = 40) {
    const std::uint64_t before = counter_;
    pass(width / 2);
    const std::int64_t ns = clock();
    pass(width / 2);
    return anchor_.anchor({before, ns, counter_});
  }

  /// As FastClock::now().
  std::int64_t now() {
    const auto ns = read();
    return ns ? *ns : look();
  }

  /// Calls `now` every `step` for some time; @return whether any call went by the counter.
  bool run(std::int64_t ns, std::int64_t step = 1'000, double slew = 0) {
    bool fast = false;
    for (const std::int64_t end = clock() + ns; clock() < end;) {
      pass(step, slew);
      if (read()) {
        fast = true;
      } else {
        look();
      }
    }
    return fast;
  }

 private:
  std::uint64_t counter_ = 1'000'000'000;
  double clock_ns_ = 5'000'000'000;
  TscAnchor anchor_;
};

// A thread that knows the rate, and has just anchored.
World anchored() {
  World world;
  world.run(20 * kMs);
  world.pass(kMs);
  world.look();
  return world;
}

TEST(TscAnchor, KnowsNoTimeBeforeItKnowsTheRate) {
  World world;
  EXPECT_FALSE(world.run(TscAnchor::kFirstBaseLineNs - 100'000));
  EXPECT_TRUE(world.run(200'000));
}

TEST(TscAnchor, IsNeverAheadOfTheClockAndLagsLittle) {
  World world = anchored();
  for (int i = 0; i < 100'000; ++i) {
    world.pass(i % 997);
    const std::int64_t now = world.now();
    ASSERT_LE(now, world.clock());
    ASSERT_GE(now, world.clock() - TscAnchor::kMaxLagNs);
  }
}

TEST(TscAnchor, AsksForTheClockBeyondItsSpan) {
  World world = anchored();
  world.pass(TscAnchor::kSpanNs - 100);
  EXPECT_TRUE(world.read());
  world.pass(200);
  EXPECT_FALSE(world.read());
  world.look();
  EXPECT_TRUE(world.read());
}

TEST(TscAnchor, TakesNoInterruptedLookForAnAnchor) {
  World world = anchored();
  world.pass(kMs);
  world.look(3'000);
  EXPECT_FALSE(world.read());
  world.look();
  EXPECT_TRUE(world.read());
}

TEST(TscAnchor, TakesNoLookForAnAnchorInWhichTheCounterWentBack) {
  World world = anchored();
  world.pass(kMs);
  world.look(-1'000);
  EXPECT_FALSE(world.read());
}

TEST(TscAnchor, LearnsNoRateFromInterruptedLooks) {
  World world;
  world.look(kMs);
  world.pass(20 * kMs);
  world.look();
  EXPECT_FALSE(world.read()) << "1 ms of 20: nobody knows in which part of it the clock was read";
  world.pass(20 * kMs);
  world.look();
  EXPECT_TRUE(world.read()) << "from the second look to the third";
}

TEST(TscAnchor, AsksForTheClockWhenTheCounterWentBack) {
  World world = anchored();
  world.jump_counter(-1'000);
  EXPECT_FALSE(world.read());
  const std::int64_t now = world.look();
  EXPECT_GE(now, world.clock() - TscAnchor::kMaxLagNs);
  EXPECT_FALSE(world.read()) << "that counter has to prove itself";
  EXPECT_TRUE(world.run(100 * kMs));
}

TEST(TscAnchor, IsAheadByItsSpanAtMostWhenTheCounterJumps) {
  for (const std::int64_t jump : {5'000, 63'000, 64'000, 100'000, 1'000'000'000}) {
    World world = anchored();
    world.jump_counter(jump);
    const std::int64_t first = world.now();
    EXPECT_LE(first, world.clock() + TscAnchor::kSpanNs) << jump;
    world.pass(TscAnchor::kSpanNs);
    const std::int64_t second = world.now();
    EXPECT_GE(second, first) << jump;
    EXPECT_LE(second, world.clock()) << jump;
    EXPECT_FALSE(world.read()) << jump << ": the rate was forgotten";
  }
}

TEST(TscAnchor, FollowsAClockThatNtpSteers) {
  World world = anchored();
  for (const double slew : {0.0004, -0.0004}) {
    for (int i = 0; i < 10'000; ++i) {
      world.pass(700, slew);
      const std::int64_t now = world.now();
      ASSERT_LE(now, world.clock()) << slew;
      ASSERT_GE(now, world.clock() - TscAnchor::kMaxLagNs) << slew;
    }
  }
}

TEST(TscAnchor, ForgetsARateThatTheClockLeft) {
  for (const double slew : {0.01, -0.01}) {
    World world = anchored();
    const auto off = static_cast<std::int64_t>(TscAnchor::kSpanNs * std::abs(slew));
    for (int i = 0; i < 1'000; ++i) {
      world.pass(700, slew);
      const std::int64_t now = world.now();
      ASSERT_LE(now, world.clock() + off) << slew;
      ASSERT_GE(now, world.clock() - TscAnchor::kMaxLagNs - off) << slew;
    }
    EXPECT_FALSE(world.read()) << slew;
    EXPECT_TRUE(world.run(200 * kMs, 1'000, slew)) << slew << ": learnt anew";
  }
}

TEST(TscAnchor, FollowsAForkIntoAnotherTimeNamespace) {
  for (const std::int64_t offset : {-1'000'000'000, 1'000'000'000}) {
    World world = anchored();
    world.jump_clock(offset);
    world.pass(2 * TscAnchor::kSpanNs);
    const std::int64_t now = world.now();
    EXPECT_LE(now, world.clock());
    EXPECT_GE(now, world.clock() - TscAnchor::kMaxLagNs);
  }
}

// The clock and the counter behave at random, except that the clock does not go back.
TEST(TscAnchor, NeverGoesBackAndIsNeverAheadByMoreThanItsSpan) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const auto below = [&](std::int64_t bound) { return static_cast<std::int64_t>(random()) % bound; };
  World world;
  std::int64_t last = 0;
  double slew = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    switch (below(20'000)) {
      case 0:
        world.jump_counter(below(300'000) - 150'000);
        break;
      case 1:
        slew = static_cast<double>(below(2001) - 1000) / 10'000;
        break;
      case 2:
        world.pass(below(5'000'000'000));
        break;
      case 3:
        world.look(below(100'000));
        break;
      case 4:
        world.jump_clock(below(1'000'000));
        break;
      default:
        slew = below(1000) == 0 ? 0 : slew;
        world.pass(below(2'000), slew);
    }
    const std::int64_t now = world.now();
    ASSERT_GE(now, last) << "step " << i << ", seed " << seed;
    ASSERT_LE(now, world.clock() + TscAnchor::kSpanNs) << "step " << i << ", seed " << seed;
    last = now;
  }
}

}  // namespace
}  // namespace weir::detail

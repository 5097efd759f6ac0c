// SPDX-License-Identifier: Apache-2.0

// Private segments that run on the caller's clock: their decisions do not depend on the host's clock.

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using Wall = std::chrono::system_clock::time_point;

const Wall kNoon = std::chrono::sys_days(std::chrono::year(1995) / 8 / 1) + 12h;

HostClock::time_point at(Wall wall) {
  return HostClock::time_point(wall.time_since_epoch());
}

Limiter open(const std::string& toml, Wall wall, std::uint64_t seed = 1) {
  const auto config = parse_config(toml, "test");
  EXPECT_TRUE(config) << config.error().message();
  auto opened = Limiter::open_private(*config, {.at = at(wall), .wall = wall, .seed = seed});
  EXPECT_TRUE(opened) << opened.error().message();
  return std::move(*opened);
}

TEST(LimiterBeginning, FixedWindowsLieAsOnTheCalendarOfTheCaller) {
  for (const Wall begin : {kNoon, kNoon - 7min, kNoon - 1s, Wall{}}) {
    Limiter limiter = open("[operations.work]\nwindow = { limit = \"2 per 1h\", kind = \"fixed\" }\n", begin);
    const Operation work = *limiter.operation("work");
    const Wall hour = std::chrono::floor<std::chrono::hours>(begin) + 1h;
    EXPECT_TRUE(limiter.admit_at(at(hour - 1s), work));
    EXPECT_TRUE(limiter.admit_at(at(hour - 1s), work));
    const Admission refused = limiter.admit_at(at(hour - 1s), work);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.retry_after(), 1s);
    EXPECT_TRUE(limiter.admit_at(at(hour), work));
  }
}

TEST(LimiterBeginning, ACooldownEndsAtItsTime) {
  for (int i = 0; i < 100; ++i) {
    Limiter limiter = open(
        "[operations.work]\nrate = \"1/s burst 1\"\ncooldown = { for = \"10s\", refusals = 1 }\n", kNoon);
    const Operation work = *limiter.operation("work");
    EXPECT_TRUE(limiter.admit_at(at(kNoon), work));
    EXPECT_FALSE(limiter.admit_at(at(kNoon), work));
    EXPECT_FALSE(limiter.admit_at(at(kNoon + 10s - 1us), work));
    EXPECT_TRUE(limiter.admit_at(at(kNoon + 10s), work));
  }
}

TEST(LimiterBeginning, OneSeedForgetsTheSameUsersInAFullTable) {
  const auto decisions = [](std::uint64_t seed) {
    Limiter limiter =
        open("[segment]\nusers = 64\n[operations.work.user]\nrate = \"1/day burst 2\"\n", kNoon, seed);
    const Operation work = *limiter.operation("work");
    std::vector<bool> all;
    std::uint32_t random = 1;
    for (int i = 0; i < 2000; ++i) {
      random = random * 1664525 + 1013904223;
      const std::string user = std::to_string((random >> 8) % 1200);
      all.push_back(static_cast<bool>(limiter.admit_at(at(kNoon + i * 1s), work, {.user = user})));
    }
    return all;
  };
  EXPECT_EQ(decisions(7), decisions(7));
  EXPECT_NE(decisions(7), decisions(8));
}

TEST(LimiterBeginning, IsRefusedBefore1970) {
  const auto opened = Limiter::open_private(Config{}, {.at = {}, .wall = Wall{} - 1s});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// Workers admit, hold, release, fork and exec, while chaos kills and stops them: nothing leaks, and never
// more than the limit is in flight.
//
// The run is short by default; WEIR_SOAK_KILLS and WEIR_SOAK_WORKERS in the environment make it longer.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/limiter.hpp"

#include "support/chaos.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kLimit = 5;
constexpr std::uint32_t kUserLimit = 2;
constexpr std::size_t kMaxWorkers = 64;
constexpr std::size_t kHistory = 1 << 14;

// When a worker held a permit: from after it was admitted to before it gave the permit back, so the interval
// is never longer than the real one. `end` advances while the worker holds the permit, and stays where a kill
// found it.
struct Interval {
  std::atomic<std::int64_t> start;
  std::atomic<std::int64_t> end;
};

struct History {
  std::array<std::atomic<std::uint64_t>, kMaxWorkers> count;
  std::array<std::array<Interval, kHistory>, kMaxWorkers> held;
};

std::int64_t now() {
  return HostClock::now().time_since_epoch().count();
}

int setting(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : fallback;
}

void hold(History& history, std::size_t worker, std::chrono::nanoseconds time) {
  const std::uint64_t i = history.count[worker].fetch_add(1) % kHistory;
  Interval& interval = history.held[worker][i];
  const std::int64_t start = now();
  interval.end = start;
  interval.start = start;
  while (interval.end - start < time.count()) interval.end = now();
}

// Sometimes creates a child that dies while it holds a permit, or that becomes another program.
void lose_a_child(Limiter& limiter, std::mt19937& random) {
  const bool exec = random() % 2 == 0;
  (void)in_child([&]() -> int {
    const Admission held = limiter.admit("work", {.user = "alice"});
    if (exec) ::execl("/bin/true", "true", nullptr);
    ::_exit(0);
  });
}

void work(Limiter& limiter, History& history, std::size_t worker, const std::atomic<bool>& stop) {
  std::mt19937 random(std::random_device{}());
  while (!stop) {
    const std::string user = "user " + std::to_string(random() % 4);
    const Admission admission = limiter.admit("work", {.user = user});
    if (admission) hold(history, worker, std::chrono::microseconds(random() % 200));
    if (random() % 64 == 0) lose_a_child(limiter, random);
  }
}

// The largest number of recorded intervals that overlap at one instant; an end frees before a start at the
// same instant.
int most_at_once(const History& history) {
  std::vector<std::pair<std::int64_t, int>> edges;
  for (std::size_t worker = 0; worker < kMaxWorkers; ++worker) {
    const std::uint64_t count = std::min<std::uint64_t>(history.count[worker], kHistory);
    for (std::size_t i = 0; i < count; ++i) {
      const Interval& interval = history.held[worker][i];
      if (interval.start == 0 || interval.end <= interval.start) continue;
      edges.emplace_back(interval.start, 1);
      edges.emplace_back(interval.end, -1);
    }
  }
  std::sort(edges.begin(), edges.end());
  int inside = 0;
  int most = 0;
  for (const auto& [time, change] : edges) most = std::max(most, inside += change);
  return most;
}

TEST(PermitSoak, NothingLeaksAndTheLimitHoldsUnderChaos) {
  Config config;
  config.segment.users = 100;
  config.operations["work"].shared.concurrent = kLimit;
  config.operations["work"].user.concurrent = kUserLimit;
  auto limiter = Limiter::open_private(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  SharedObject<History> history;

  ChaosOptions options;
  options.workers = std::min<int>(setting("WEIR_SOAK_WORKERS", 8), kMaxWorkers);
  options.kills = setting("WEIR_SOAK_KILLS", 1000);
  options.seed = std::random_device{}();
  options.stop_share = 0.3;
  const ChaosReport report = run_chaos(options, [&](int worker, const std::atomic<bool>& stop) {
    work(*limiter, *history, static_cast<std::size_t>(worker), stop);
  });
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GE(report.kills, options.kills);

  std::uint64_t admissions = 0;
  for (const auto& count : history->count) admissions += count;
  const int most = most_at_once(*history);
  std::cout << "[soak] " << report.kills << " kills, " << admissions << " admissions, at most " << most
            << " at once\n";
  EXPECT_GT(admissions, static_cast<std::uint64_t>(options.kills));
  EXPECT_LE(most, static_cast<int>(kLimit));

  limiter->reap();
  for (int user = 0; user < 4; ++user) {
    std::vector<Admission> held;
    for (std::uint32_t i = 0; i < kUserLimit; ++i) {
      held.push_back(limiter->admit("work", {.user = "user " + std::to_string(user)}));
      EXPECT_TRUE(held.back()) << "permit " << i << " of user " << user;
    }
  }
  std::vector<Admission> all;
  for (std::uint32_t i = 0; i < kLimit; ++i) {
    all.push_back(limiter->admit("work"));
    EXPECT_TRUE(all.back()) << "permit " << i;
  }
  EXPECT_FALSE(limiter->admit("work"));
}

}  // namespace
}  // namespace weir::test

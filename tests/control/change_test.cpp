// SPDX-License-Identifier: Apache-2.0

// A live change of limits, as workers meet it.

#include <atomic>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "control/live_change.hpp"
#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/child.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST_F(LiveChange, EveryWorkerFollowsAtItsNextCall) {
  EXPECT_EQ(admitted(20), 10);
  test::Child worker([&] {
    const auto end = std::chrono::steady_clock::now() + 30s;
    bool seen = false;
    while (!seen && std::chrono::steady_clock::now() < end) seen = static_cast<bool>(limiter->admit("work"));
    EXPECT_TRUE(seen) << "the worker never saw the new rate";
  });
  set("operations.work.rate", "1000000/s burst 1000");
  EXPECT_TRUE(worker.ends_within(60s));
  EXPECT_EQ(worker.failure(), "");
}

// Only the changing process holds the lock of changes: a child that is forked during a change does not keep it.
TEST_F(LiveChange, AForkMeanwhileLeavesTheNextChangesPossible) {
  std::atomic<int> changes{0};
  std::atomic<bool> done{false};
  std::string refused;
  std::thread changing([&] {
    for (int i = 0; !done; ++i, ++changes) {
      const auto report = set_limit(name.str(), "operations.other.rate", i % 2 == 0 ? "6/s" : "7/s");
      if (report) continue;
      refused = report.error().message();
      done = true;
    }
  });
  std::vector<std::unique_ptr<test::WorkerProcess>> children;
  for (int i = 0; i < 40; ++i) {
    const int before = changes;
    children.push_back(std::make_unique<test::WorkerProcess>([] {}));
    while (changes == before && !done) std::this_thread::yield();
  }
  done = true;
  changing.join();
  EXPECT_EQ(refused, "");
}

TEST_F(LiveChange, ADryRunTellsAndTouchesNothing) {
  const ChangeReport report = set("operations.work.rate", "60/min", true);
  ASSERT_EQ(report.changes.size(), 1U);
  EXPECT_EQ(report.changes[0].key, "operations.work.rate");
  EXPECT_THAT(report.changes[0].from, HasSubstr("1/day burst 10"));
  EXPECT_EQ(limiter->config().operations, config.operations);
  EXPECT_EQ(change_history(name.str())->size(), 0U);
}

TEST_F(LiveChange, ASmallerBurstLeavesNobodyInDeeperDebtThanAnEmptyBucket) {
  EXPECT_EQ(admitted(10, {.user = "alice"}), 5);
  set("operations.work.rate", "1/s burst 2");
  set("operations.work.user.rate", "1/s burst 2");
  EXPECT_LE(limiter->admit("work", {.user = "alice"}).retry_after(), 1s + 1ms);
}

TEST_F(LiveChange, AFasterRatePaysTheDebtOffInTheSameTimeAndMoreTokens) {
  set("operations.work.rate", "1/h burst 10");
  EXPECT_EQ(admitted(20), 10);
  const auto before = limiter->admit("work").retry_after();
  EXPECT_GT(before, 59min);
  set("operations.work.rate", "1/s burst 10");
  EXPECT_LE(limiter->admit("work").retry_after(), 1s + 1ms)
      << "no deeper than an empty bucket of the new rate";
}

TEST_F(LiveChange, LimitsComeAndGoAndSoDoOperations) {
  set("operations.work.rate", "none");
  EXPECT_EQ(admitted(30), 30);
  set("operations.work.window", "3 per 1h");
  EXPECT_EQ(admitted(30), 3);
  set("operations.fresh.rate", "1/day burst 2");
  EXPECT_EQ(admitted(5, {}, "fresh"), 2);
  EXPECT_TRUE(limiter->operation("fresh"));
  Config without = limiter->config();
  without.operations.erase("other");
  const Operation other = *limiter->operation("other");
  ASSERT_TRUE(apply_config(name.str(), without));
  EXPECT_FALSE(limiter->operation("other"));
  EXPECT_EQ(limiter->admit(other).verdict(), Verdict::invalid);
  ASSERT_TRUE(apply_config(name.str(), config));
  EXPECT_EQ(limiter->config().operations, config.operations);
  EXPECT_TRUE(limiter->admit(other));
}

TEST_F(LiveChange, ApplyingTheSameFileTwiceChangesNothing) {
  Config wanted = config;
  wanted.operations.at("work").shared.windows = {{100, 1min}};
  wanted.operations.at("work").user.windows = {{10, 1min}};
  wanted.operations.at("work").breaker = Breaker{.failures = 3, .recovery = 30s, .probe_timeout = 30s};
  EXPECT_FALSE(apply_config(name.str(), wanted)->changes.empty());
  const auto again = apply_config(name.str(), wanted);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->changes.empty()) << again->changes[0].key << ": " << again->changes[0].from;
}

TEST_F(LiveChange, ALoweredConcurrencyLimitDrainsStrictly) {
  std::vector<Admission> held;
  for (int i = 0; i < 4; ++i) held.push_back(limiter->admit("work"));
  set("operations.work.concurrent", "2");
  held.pop_back();
  EXPECT_EQ(limiter->admit("work").verdict(), Verdict::shed) << "three are still in progress";
  held.pop_back();
  EXPECT_EQ(limiter->admit("work").verdict(), Verdict::shed);
  held.pop_back();
  EXPECT_TRUE(limiter->admit("work"));
  set("operations.work.concurrent", "60");
  held.clear();
  for (int i = 0; i < 5; ++i) held.push_back(limiter->admit("work"));
  EXPECT_TRUE(held.back());
}

// A user's permits lie in entries of four. None of them is overlooked, however far the limit is lowered.
TEST_F(LiveChange, ALoweredConcurrencyLimitOfAUserDrainsStrictly) {
  set("operations.other.rate", "none");
  for (const unsigned lowered : {1U, 2U, 4U, 5U, 6U, 9U}) {
    set("operations.other.user.concurrent", "10");
    std::vector<Admission> held;
    for (int i = 0; i < 10; ++i) held.push_back(limiter->admit("other", {.user = "bob"}));
    ASSERT_TRUE(held.back());
    set("operations.other.user.concurrent", std::to_string(lowered));
    EXPECT_EQ(limiter->admit("other", {.user = "alice", .weight = lowered}).verdict(), Verdict::admitted);
    for (; held.size() >= lowered; held.pop_back()) {
      EXPECT_EQ(limiter->admit("other", {.user = "bob"}).verdict(), Verdict::shed)
          << held.size() << " are still in progress, " << lowered << " may be";
    }
    EXPECT_TRUE(limiter->admit("other", {.user = "bob"})) << lowered;
  }
}

// The change was killed after it wrote the limits, and before the word that says that the user is exempt.
TEST_F(LiveChange, AKilledEndOfAnExemptionLeavesLimitsThatCanBeChanged) {
  set("overrides.users.vip.rate", "1/day burst 8");
  const auto segment =
      *detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint);
  const detail::Sections sections = *detail::Sections::of(segment);
  sections.blocks[detail::kFirstOverride].exempt.store(1, std::memory_order_release);
  sections.control->turn.fetch_add(1, std::memory_order_release);
  set("operations.other.rate", "7/s");
  EXPECT_FALSE(limiter->config().users.at("vip").exempt);
  EXPECT_EQ(limiter->config().users.at("vip").limits.rates.at(0).burst, 8U);
  EXPECT_EQ(admitted(20, {.user = "vip"}), 8);
}

TEST_F(LiveChange, RefusesWhatTheSegmentHasNoRoomForAndNamesIt) {
  const auto bad_value = set_limit(name.str(), "operations.work.rate", "a lot");
  EXPECT_EQ(bad_value.error().code, Errc::config);
  const auto too_many = set_limit(name.str(), "operations.work.concurrent", "60000");
  EXPECT_EQ(too_many.error().code, Errc::no_space);
  Config other = config;
  other.segment.users = 17;
  const auto settings = apply_config(name.str(), other);
  EXPECT_EQ(settings.error().code, Errc::conflict);
  EXPECT_THAT(settings.error().what, HasSubstr("segment.users"));
  EXPECT_EQ(roll_back(name.str()).error().code, Errc::not_in_segment);
  EXPECT_EQ(limiter->config().operations, config.operations);
}

// Each of these two values admits its own number from a full bucket; a mixture would show as another one.
TEST_F(LiveChange, NobodyReadsAMixtureOfTwoValues) {
  test::Child changer([&] {
    for (int i = 0; i < 2'000; ++i)
      (void)set_limit(name.str(), "operations.work.rate",
                      i % 2 == 0 ? "1000/s burst 100000" : "1/10d burst 7");
  });
  int seen_slow = 0;
  int seen_fast = 0;
  while (!changer.ends_within(0ms)) {
    const Rate rate = limiter->config().operations.at("work").shared.rates[0];
    const auto quota = limiter->quotas(*limiter->operation("work")).at(0);
    EXPECT_TRUE(quota.quota == 7 || quota.quota == 100'000 || quota.quota == 10) << quota.quota;
    seen_slow += rate.burst == 7 ? 1 : 0;
    seen_fast += rate.burst == 100'000 ? 1 : 0;
    const bool known = rate.burst == 10 || rate.burst == 7 || rate.burst == 100'000;
    EXPECT_TRUE(known) << rate.burst;
    // The enforced rate is one of the two, and not a mixture of them, however it is written.
    const auto window = quota.window;
    EXPECT_TRUE(quota.quota != 7 || window > 24h * 60) << window.count();
    EXPECT_TRUE(quota.quota != 100'000 || window < 2min) << window.count();
  }
  EXPECT_GT(seen_slow + seen_fast, 0);
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/control.hpp"
#include "weir/fields.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/child.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;
using ::testing::HasSubstr;

class LiveChange : public ::testing::Test {
 protected:
  void SetUp() override {
    config = *parse_config(R"(
[operations.work]
rate = "1/day burst 10"
concurrent = 4
user.rate = "1/day burst 5"
[operations.other]
rate = "5/s"
)",
                           "test");
    config.segment.name = name.str();
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
  }
  int admitted(int asked, const Request& request = {}, const char* operation = "work") {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += limiter->admit(operation, request) ? 1 : 0;
    return count;
  }
  ChangeReport set(std::string_view key, std::string_view value, bool dry_run = false) {
    auto report = set_limit(name.str(), key, value, dry_run);
    EXPECT_TRUE(report) << report.error().message();
    return report ? *report : ChangeReport{};
  }

  SegmentName name;
  Config config;
  std::optional<Limiter> limiter;
};

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

TEST_F(LiveChange, ARemovedOperationShowsNothingThatItNeverHad) {
  Config without = config;
  without.operations.erase("other");
  ASSERT_TRUE(apply_config(name.str(), without));
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_TRUE(snapshot->breakers.empty());
  EXPECT_EQ(kSharedLimits.rows(*snapshot).size(), 1U);
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

TEST_F(LiveChange, RollbackBringsTheLastGenerationBack) {
  set("operations.work.rate", "7/min");
  Config two = limiter->config();
  two.operations.at("work").shared.concurrent = 3;
  two.operations.at("other").shared.rates[0].burst = 99;
  ASSERT_TRUE(apply_config(name.str(), two));
  const auto back = roll_back(name.str());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->changes.size(), 2U);
  EXPECT_EQ(limiter->config().operations.at("work").shared.concurrent.limit, 4U);
  EXPECT_EQ(limiter->config().operations.at("work").shared.rates[0].count, 7U);
}

TEST_F(LiveChange, RollbackGoesBackStepByStepAndNotToAndFro) {
  set("operations.work.rate", "1/min");
  set("operations.work.rate", "2/min");
  set("operations.work.rate", "3/min");
  const auto rate = [&] { return limiter->config().operations.at("work").shared.rates[0].count; };
  ASSERT_TRUE(roll_back(name.str()));
  EXPECT_EQ(rate(), 2U);
  ASSERT_TRUE(roll_back(name.str()));
  EXPECT_EQ(rate(), 1U);
  set("operations.work.rate", "4/min");
  ASSERT_TRUE(roll_back(name.str()));
  EXPECT_EQ(rate(), 1U);
  ASSERT_TRUE(roll_back(name.str()));
  EXPECT_EQ(limiter->config().operations, config.operations);
  EXPECT_EQ(roll_back(name.str()).error().code, Errc::not_in_segment);
  ASSERT_TRUE(roll_back_to(name.str(), 2)) << "also what was rolled back comes back by its generation";
  EXPECT_EQ(rate(), 2U);
  ASSERT_TRUE(roll_back_to(name.str(), 0));
  EXPECT_EQ(limiter->config().operations, config.operations);
  EXPECT_EQ(roll_back_to(name.str(), 99).error().code, Errc::not_in_segment);
}

TEST_F(LiveChange, ASwitchOfABreakerIsAChangeAsAnyOther) {
  set("operations.work.breaker", R"({ failures = 3, recovery = "30s" })");
  const auto state = [&] { return take_snapshot(name.str())->breakers.at(0).state; };
  const auto tried = switch_breaker(name.str(), "work", BreakerSwitch::forced_open, true);
  ASSERT_TRUE(tried) << tried.error().message();
  ASSERT_EQ(tried->changes.size(), 1U);
  EXPECT_EQ(tried->changes[0].key, "operations.work.breaker.state");
  EXPECT_EQ(state(), BreakerState::closed) << "a dry run switched it";
  ASSERT_TRUE(switch_breaker(name.str(), "work", BreakerSwitch::forced_open));
  EXPECT_EQ(state(), BreakerState::forced_open);
  EXPECT_EQ(change_history(name.str())->at(0).change.to, "forced_open");
  set("operations.work.breaker.failures", "9");
  EXPECT_EQ(state(), BreakerState::forced_open) << "new thresholds do not undo an operator's switch";
  set("operations.work.rate", "77/min");
  EXPECT_EQ(state(), BreakerState::forced_open);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(roll_back(name.str()));
  EXPECT_EQ(state(), BreakerState::closed);
  EXPECT_TRUE(limiter->config().operations.at("work").breaker) << "rollback took another change back";
}

TEST_F(LiveChange, AMisspeltOperationIsNotMadeUnlessItIsToBeNew) {
  const auto misspelt = set_limit(name.str(), "operations.wrok.rate", "60/min", false, false);
  ASSERT_FALSE(misspelt);
  EXPECT_EQ(misspelt.error().code, Errc::not_in_segment);
  EXPECT_THAT(misspelt.error().message(), HasSubstr("did you mean \"work\""));
  EXPECT_FALSE(limiter->config().operations.contains("wrok"));
  EXPECT_TRUE(set_limit(name.str(), "operations.work.rate", "60/min", false, false));
}

// The operations were left out, as the hint said, and no request holds anything under them.
TEST_F(LiveChange, NamesThatCameAndWentDoNotFillASegment) {
  const Operation other = *limiter->operation("other");
  for (int i = 0; i < 300; ++i) {
    const std::string key = fmt::format("operations.gone{}", i);
    const auto made = set_limit(name.str(), key + ".user.rate", "1000/s");
    ASSERT_TRUE(made) << i << ": " << made.error().message();
    ASSERT_TRUE(set_limit(name.str(), key, "none"));
  }
  const auto before = limiter->operation("gone299");
  EXPECT_FALSE(before);
  EXPECT_TRUE(limiter->admit(other));
  EXPECT_EQ(limiter->config().operations, config.operations);
  for (int i = 0; i < 300; ++i) {
    const std::string key = fmt::format("overrides.users.gone{}", i);
    ASSERT_TRUE(set_limit(name.str(), key + ".rate", "1000/s")) << i;
    ASSERT_TRUE(set_limit(name.str(), key, "none"));
  }
}

TEST_F(LiveChange, AHandleOfATakenOutOperationIsNotThatOfTheNextOne) {
  set("operations.gone.rate", "1000/s");
  const Operation gone = *limiter->operation("gone");
  ASSERT_TRUE(limiter->admit(gone));
  set("operations.gone", "none");
  Config full = config;
  for (int i = 0; full.operations.size() < 253; ++i) full.operations[fmt::format("a{}", i)];
  ASSERT_TRUE(apply_config(name.str(), full));
  for (int i = 0; i < 3; ++i) {
    const auto made = set_limit(name.str(), fmt::format("operations.b{}.rate", i), "1/day burst 1");
    ASSERT_TRUE(made) << made.error().message();
  }
  EXPECT_EQ(limiter->admit(gone).verdict(), Verdict::invalid);
  EXPECT_FALSE(limiter->operation("gone"));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter->admit(*limiter->operation(fmt::format("b{}", i)))) << i;
  EXPECT_FALSE(set_limit(name.str(), "operations.b3.rate", "1/day"));
}

TEST_F(LiveChange, AHandleNeverMeansALaterOperationHoweverManyNamesItsBlockHas) {
  set("operations.gone.rate", "1000/s");
  const Operation gone = *limiter->operation("gone");
  set("operations.gone", "none");
  Config full = config;
  for (int i = 0; full.operations.size() < 255; ++i) full.operations[fmt::format("a{}", i)];
  ASSERT_TRUE(apply_config(name.str(), full));
  for (int i = 0; i < 300; ++i) {
    const std::string key = fmt::format("operations.b{}", i);
    const auto made = set_limit(name.str(), key + ".rate", "1000/s");
    ASSERT_EQ(limiter->admit(gone).verdict(), Verdict::invalid) << "it means " << key;
    if (!made) {
      EXPECT_EQ(i, 255);
      EXPECT_EQ(made.error().code, Errc::no_space);
      EXPECT_THAT(made.error().message(), HasSubstr("have had 256 names; use the name of an operation"));
      EXPECT_TRUE(set_limit(name.str(), "operations.b254.rate", "1000/s")) << "it has a block still";
      return;
    }
    ASSERT_TRUE(set_limit(name.str(), key, "none"));
  }
  FAIL() << "a block has more names than handles tell apart";
}

// The limit comes after the admission, which others then spend to its end.
TEST_F(LiveChange, ARefundGivesNothingBackUnderALimitThatCameLater) {
  set("operations.fresh.rate", "1000000/s burst 1000");
  const Operation fresh = *limiter->operation("fresh");
  const Request five{.user = "ann", .cost = 5};
  const std::pair<const char*, const char*> limits[] = {
      {"window", "10 per 1h"}, {"user.window", "10 per 1h"}, {"user.rate", "10/day burst 10"}};
  for (const auto& [kind, value] : limits) {
    const std::string key = std::string("operations.fresh.") + kind;
    Admission early = limiter->admit(fresh, five);
    ASSERT_TRUE(early) << key;
    set(key, value);
    EXPECT_EQ(admitted(20, {.user = "ann"}, "fresh"), 10) << key;
    limiter->refund(fresh, five, early);
    EXPECT_EQ(admitted(20, {.user = "ann"}, "fresh"), 0) << key;

    set(key, "none");
    Admission between = limiter->admit(fresh, five);
    ASSERT_TRUE(between) << key;
    set(key, value);
    limiter->refund(fresh, five, between);
    EXPECT_EQ(admitted(20, {.user = "ann"}, "fresh"), 0) << key << ": it comes back as it was left";
    set(key, "none");
  }
}

TEST_F(LiveChange, ARefundOfAChargeUnderOwnLimitsGivesNothingBackUnderThoseOfAllUsers) {
  set("operations.fresh.user.rate", "1/day burst 5");
  set("overrides.users.vip.rate", "1/day burst 8");
  const Operation fresh = *limiter->operation("fresh");
  const Request three{.user = "vip", .cost = 3};
  Admission own = limiter->admit(fresh, three);
  ASSERT_TRUE(own);
  set("overrides.users.vip", "none");
  EXPECT_EQ(admitted(20, {.user = "vip"}, "fresh"), 5);
  limiter->refund(fresh, three, own);
  EXPECT_EQ(admitted(20, {.user = "vip"}, "fresh"), 0);
}

TEST_F(LiveChange, ARefundUnderLimitsThatStoodGivesBack) {
  set("operations.fresh.rate", "1/day burst 5");
  const Operation fresh = *limiter->operation("fresh");
  Admission all = limiter->admit(fresh, {.cost = 5});
  ASSERT_TRUE(all);
  set("operations.other.rate", "7/s");
  limiter->refund(fresh, {.cost = 5}, all);
  EXPECT_EQ(admitted(20, {}, "fresh"), 5);
}

TEST_F(LiveChange, AUserWhoseOwnLimitsAreTakenOutIsAUserAsAnyOther) {
  set("overrides.users.vip.rate", "1/day burst 8");
  EXPECT_EQ(admitted(20, {.user = "vip"}), 8);
  set("overrides.users.vip", "none");
  set("operations.work.rate", "none");
  EXPECT_EQ(admitted(20, {.user = "vip"}), 5) << "the limit of each user of the operation";
  EXPECT_EQ(look_up_user(name.str(), "vip")->at(0).limit, "operations.work.user.rate");
  set("overrides.users.vip.rate", "1/day burst 8");
  EXPECT_EQ(admitted(20, {.user = "vip"}), 0) << "spent before it was taken out";
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

TEST_F(LiveChange, ALimitThatWentAndCameBackIsShownAsItWasWritten) {
  const std::string both = R"(["30/min burst 10", "500/hour"])";
  set("operations.work.rate", both);
  set("operations.work.rate", "600/min burst 100");
  ASSERT_TRUE(roll_back(name.str()));
  const ChangeReport again = set("operations.work.rate", "7/min");
  ASSERT_EQ(again.changes.size(), 1U);
  EXPECT_EQ(again.changes[0].from, both);
  set("operations.other.rate", "300/min");  // the same rate in other words
  EXPECT_EQ(limiter->config().operations.at("other").shared.rates[0].count, 300U);
}

TEST_F(LiveChange, TheHistorySaysWhoChangedWhat) {
  set("operations.work.rate", "7/min");
  set("operations.work.concurrent", "9");
  const auto history = change_history(name.str());
  ASSERT_TRUE(history);
  ASSERT_EQ(history->size(), 2U);
  EXPECT_EQ((*history)[0].change.key, "operations.work.concurrent");
  EXPECT_EQ((*history)[0].change.to, "9");
  EXPECT_EQ((*history)[0].generation, 2U);
  EXPECT_EQ((*history)[0].pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ((*history)[0].uid, ::getuid());
  EXPECT_EQ(take_snapshot(name.str())->generation, 2U);
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

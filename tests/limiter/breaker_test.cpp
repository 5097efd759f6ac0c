// SPDX-License-Identifier: Apache-2.0

// The circuit breaker of an operation, through the facade.

#include <chrono>
#include <gtest/gtest.h>
#include <stdexcept>
#include <unistd.h>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/http.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "support/fork.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;

class LimiterBreaker : public ::testing::Test {
 protected:
  void open(const std::string& breaker) {
    auto config = parse_config("[operations.work]\nconcurrent = 10\nbreaker = " + breaker + "\n", "test");
    ASSERT_TRUE(config) << config.error().message();
    config->segment.name = name.str();
    auto opened = Limiter::open(*config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    work = *limiter->operation("work");
  }
  void call(Outcome outcome) {
    Admission admission = limiter->admit(work);
    ASSERT_TRUE(admission);
    admission.report(outcome);
  }
  BreakerStatus seen() { return take_snapshot(name.str())->breakers.at(0); }
  void await_calls(std::uint64_t calls) {
    while (seen().calls < calls) ::usleep(1000);
  }
  BreakerState state() { return take_snapshot(name.str())->breakers.at(0).state; }

  SegmentName name;
  std::optional<Limiter> limiter;
  Operation work{};
};

TEST_F(LimiterBreaker, OpensAfterFailuresInARowAndSaysWhenItProbes) {
  open(R"({ failures = 3, recovery = "30s" })");
  call(Outcome::failure);
  call(Outcome::failure);
  call(Outcome::success);  // ends the row
  call(Outcome::failure);
  call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::closed);
  call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::open);
  const Admission refused = limiter->admit(work);
  EXPECT_EQ(refused.verdict(), Verdict::circuit_open);
  EXPECT_EQ(limiter->limit_name(refused.limit()), "operations.work.breaker");
  EXPECT_GT(refused.retry_after(), 25s);
  EXPECT_LE(refused.retry_after(), 30s);
}

TEST_F(LimiterBreaker, IgnoredCallsAndOwnRefusalsCountForNothing) {
  open(R"({ failures = 2, recovery = "30s" })");
  for (int i = 0; i < 5; ++i) call(Outcome::ignored);
  std::vector<Admission> held;
  for (int i = 0; i < 10; ++i) held.push_back(limiter->admit(work));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limiter->admit(work).verdict(), Verdict::shed);
  held.clear();
  EXPECT_EQ(state(), BreakerState::closed);
}

TEST_F(LimiterBreaker, LetsOneProbeThroughAndClosesWhenItIsGood) {
  open(R"({ failures = 1, recovery = "20ms", probe_timeout = "1h" })");
  call(Outcome::failure);
  while (limiter->peek(work).verdict == Verdict::circuit_open) ::usleep(1000);
  Admission probe = limiter->admit(work);
  ASSERT_TRUE(probe);
  EXPECT_TRUE(probe.decision().probe);
  EXPECT_EQ(limiter->admit(work).verdict(), Verdict::circuit_open) << "one probe at once";
  probe.succeed();
  EXPECT_EQ(state(), BreakerState::closed);
  EXPECT_FALSE(limiter->admit(work).decision().probe);
}

TEST_F(LimiterBreaker, AKilledProberDoesNotKeepItHalfOpen) {
  open(R"({ failures = 1, recovery = "20ms", probe_timeout = "1h" })");
  call(Outcome::failure);
  while (limiter->peek(work).verdict == Verdict::circuit_open) ::usleep(1000);
  ASSERT_EQ(test::in_child([&]() -> int {
              const Admission probe = limiter->admit(work);
              ::_exit(probe ? 0 : 1);  // dies without a word
            }),
            0);
  EXPECT_EQ(limiter->admit(work).verdict(), Verdict::circuit_open);
  limiter->reap();
  Admission probe = limiter->admit(work);
  EXPECT_TRUE(probe);
  probe.succeed();
  EXPECT_EQ(state(), BreakerState::closed);
}

TEST_F(LimiterBreaker, AnOperatorForcesItOpenAndClosedAndLetsItGo) {
  open(R"({ failures = 1, recovery = "1h" })");
  ASSERT_TRUE(switch_breaker(name.str(), "work", BreakerSwitch::forced_open));
  EXPECT_EQ(limiter->admit(work).verdict(), Verdict::circuit_open);
  ASSERT_TRUE(switch_breaker(name.str(), "work", BreakerSwitch::forced_closed));
  for (int i = 0; i < 3; ++i) call(Outcome::failure);
  EXPECT_TRUE(limiter->admit(work));
  ASSERT_TRUE(switch_breaker(name.str(), "work", BreakerSwitch::automatic));
  call(Outcome::failure);
  EXPECT_EQ(limiter->admit(work).verdict(), Verdict::circuit_open);
  EXPECT_FALSE(switch_breaker(name.str(), "none", BreakerSwitch::automatic));
}

TEST_F(LimiterBreaker, TripsOnAFailureRateAndOnSlowCalls) {
  open(R"({ failure_rate = 0.5, minimum_calls = 4, window = "1min", recovery = "1h" })");
  call(Outcome::success);
  call(Outcome::success);
  call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::closed);
  call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::open);
}

TEST_F(LimiterBreaker, RunReportsWhatCameOfTheWork) {
  open(R"({ failures = 2, recovery = "1h" })");
  const auto fine = limiter->run(work, {}, [] { return 7; });
  ASSERT_TRUE(fine);
  EXPECT_EQ(fine.value, 7);
  EXPECT_THROW((void)limiter->run(work, {}, []() -> int { throw std::runtime_error("no"); }),
               std::runtime_error);
  const auto bad = limiter->run(
      work, {}, [] { return -1; }, [](int value) { return value < 0; });
  EXPECT_TRUE(bad);
  EXPECT_EQ(bad.value, -1);
  const auto refused = limiter->run(work, {}, [] { return 7; });
  EXPECT_EQ(refused.decision.verdict, Verdict::circuit_open);
  EXPECT_FALSE(refused);
  EXPECT_FALSE(refused.value);
}

TEST_F(LimiterBreaker, AShadowBreakerCountsAndNeverRefuses) {
  open(R"({ failures = 1, recovery = "1h", shadow = true })");
  for (int i = 0; i < 3; ++i) call(Outcome::failure);
  EXPECT_TRUE(limiter->admit(work));
  EXPECT_EQ(state(), BreakerState::metrics_only);
}

// The default minimum of calls fits into a window of any size.
TEST_F(LimiterBreaker, OpensOverAWindowOfFewerCallsThanTheUsualMinimum) {
  open(R"({ failure_rate = 0.5, window_calls = 5, recovery = "30s" })");
  for (int i = 0; i < 4; ++i) call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::closed);
  call(Outcome::failure);
  EXPECT_EQ(state(), BreakerState::open);
}

TEST_F(LimiterBreaker, WhatWasLeftToTheWindowIsLeftOutAgainWhenItIsShown) {
  open(R"({ failure_rate = 0.5, window_calls = 5, recovery = "30s" })");
  EXPECT_EQ(limiter->config().operations.at("work").breaker->minimum_calls, 0U);
}

// Each thread reads the clock for itself, so a thread that reports may be behind the one that admitted.
TEST_F(LimiterBreaker, ACallThatIsReportedByAClockBehindIsNotSlow) {
  open(R"({ slow_rate = 1.0, slow_call = "10s", minimum_calls = 1, window = "1min", recovery = "30s" })");
  for (int i = 0; i < 3; ++i) {
    Admission admission = limiter->admit_at(HostClock::now() + 1s, work, {});
    ASSERT_TRUE(admission) << "a call of no time was counted as slow";
    admission.succeed();
  }
  EXPECT_EQ(take_snapshot(name.str())->breakers.at(0).slow, 0U);
}

constexpr const char* kHangs =
    R"({ slow_rate = 0.5, slow_call = "2s", minimum_calls = 5, window = "10s", recovery = "30s" })";

constexpr const char* kHangsSoon =
    R"({ slow_rate = 0.5, slow_call = "1ms", minimum_calls = 1_000, window = "1min", recovery = "30s" })";

TEST_F(LimiterBreaker, OpensWhileCallsHangAlthoughNothingReturns) {
  open(kHangs);
  const auto start = HostClock::now();
  std::vector<Admission> hanging;
  for (int i = 0; i < 5; ++i) hanging.push_back(limiter->admit_at(start, work, {}));
  EXPECT_TRUE(limiter->admit_at(start + 1900ms, work, {}));
  EXPECT_EQ(state(), BreakerState::closed);
  const Admission refused = limiter->admit_at(start + 2100ms, work, {});
  EXPECT_EQ(refused.verdict(), Verdict::circuit_open);
  EXPECT_EQ(limiter->limit_name(refused.limit()), "operations.work.breaker");
  EXPECT_GT(refused.retry_after(), 30s - 9us);
  EXPECT_EQ(http_answer(refused.decision()).retry_after, 30);
  EXPECT_EQ(state(), BreakerState::open);
  // The calls that return now belong to an earlier generation.
  hanging.clear();
  EXPECT_EQ(state(), BreakerState::open);
}

// Calls that hang hold all permits, so no request is admitted; the breaker opens nevertheless.
TEST_F(LimiterBreaker, OpensWhileCallsHangThatHoldAllPermits) {
  open(kHangs);
  const auto start = HostClock::now();
  std::vector<Admission> hanging;
  for (int i = 0; i < 10; ++i) hanging.push_back(limiter->admit_at(start, work, {}));
  EXPECT_EQ(limiter->admit_at(start + 1s, work, {}).verdict(), Verdict::shed);
  EXPECT_EQ(limiter->admit_at(start + 3s, work, {}).verdict(), Verdict::circuit_open);
  EXPECT_EQ(state(), BreakerState::open);
}

TEST_F(LimiterBreaker, ARefusalByAnotherLimitLeavesNothingInFlight) {
  auto config = parse_config(
      "[operations.work]\nbreaker = " + std::string(kHangsSoon) + "\nuser = { rate = \"1/hour\" }\n", "test");
  ASSERT_TRUE(config) << config.error().message();
  config->segment.name = name.str();
  limiter.emplace(*Limiter::open(*config));
  work = *limiter->operation("work");
  for (int i = 0; i < 20; ++i) {
    Admission admission = limiter->admit(work, {.user = "alice"});
    EXPECT_EQ(static_cast<bool>(admission), i == 0);
    if (admission) admission.succeed();
  }
  const Admission hanging = limiter->admit(work, {.user = "bob"});
  ASSERT_TRUE(hanging);
  await_calls(2);
  EXPECT_EQ(limiter->peek(work, {.user = "carol"}).verdict, Verdict::admitted);
  EXPECT_EQ(seen().calls, 2U) << "the one of alice returned, that of bob hangs";
}

// A forked child has copies of the admissions. When they are destroyed, the calls of the parent still count.
TEST_F(LimiterBreaker, AForkedChildTakesNoCallBackThatIsItsParents) {
  open(kHangsSoon);
  std::vector<Admission> hanging;
  for (int i = 0; i < 4; ++i) hanging.push_back(limiter->admit(work));
  ASSERT_EQ(test::in_child([&] {
              for (Admission& copy : hanging) copy.report(Outcome::ignored);
              return 0;
            }),
            0);
  await_calls(4);
  EXPECT_EQ(seen().slow, 4U);
  for (Admission& call : hanging) call.report(Outcome::ignored);
  EXPECT_EQ(seen().slow, 0U);
}

TEST_F(LimiterBreaker, CallsInFlightAreCountedAsSoonAsASlowRateIsInForce) {
  open(R"({ failure_rate = 1.0, window = "1min", minimum_calls = 5, recovery = "30s" })");
  const auto start = HostClock::now();
  std::vector<Admission> hanging;
  for (int i = 0; i < 5; ++i) hanging.push_back(limiter->admit_at(start, work, {}));
  Config config = limiter->config();
  config.operations["work"].breaker->slow_rate = 0.5;
  config.operations["work"].breaker->slow_call = 2s;
  ASSERT_TRUE(apply_config(name.str(), config));
  for (int i = 0; i < 4; ++i) hanging.push_back(limiter->admit_at(start, work, {}));
  EXPECT_TRUE(limiter->peek(work).verdict == Verdict::admitted);
  ASSERT_TRUE(limiter->admit_at(start + 3s, work, {})) << "those of before the change do not count";
  hanging.erase(hanging.begin());
  hanging.push_back(limiter->admit_at(start, work, {}));
  EXPECT_EQ(limiter->admit_at(start + 3s, work, {}).verdict(), Verdict::circuit_open);
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// What was changed, and how it is taken back.

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "weir/control.hpp"
#include "weir/inspect.hpp"

#include "control/live_change.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

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

}  // namespace
}  // namespace weir

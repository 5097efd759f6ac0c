// SPDX-License-Identifier: Apache-2.0

// A refund gives nothing back under limits that came after the admission.

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <utility>

#include "weir/limiter.hpp"

#include "control/live_change.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

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

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// Names of operations and users that come and go in a running segment, and handles of them.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "weir/control.hpp"
#include "weir/fields.hpp"
#include "weir/inspect.hpp"

#include "control/live_change.hpp"

namespace weir {
namespace {

using ::testing::HasSubstr;

TEST_F(LiveChange, ARemovedOperationShowsNothingThatItNeverHad) {
  Config without = config;
  without.operations.erase("other");
  ASSERT_TRUE(apply_config(name.str(), without));
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_TRUE(snapshot->breakers.empty());
  EXPECT_EQ(kSharedLimits.rows(*snapshot).size(), 1U);
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

}  // namespace
}  // namespace weir

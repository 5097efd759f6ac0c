// SPDX-License-Identifier: Apache-2.0
#include "weir/limiter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Config config_of(std::string_view toml) {
  auto config = parse_config(toml, "test.toml");
  EXPECT_TRUE(config) << config.error().message();
  return *config;
}

constexpr std::string_view kCaptions = R"(
[segment]
users = 1000
[global]
rate = "100/s burst 50"
[operations.caption]
rate = ["30/min burst 10", "12/hour"]
[operations.caption.user]
rate = "10/min burst 3"
[operations.batch]
rate = "10/min burst 2"
)";

// A private limiter whose clock the test turns by hand.
class LimiterAt : public ::testing::Test {
 protected:
  Admission admit(std::string_view operation, const Request& request = {}) {
    return limiter.admit_at(now, *limiter.operation(operation), request);
  }
  std::string refused_by(const Admission& admission) { return limiter.limit_name(admission.limit()); }

  Limiter limiter = *Limiter::open_private(config_of(kCaptions));
  HostClock::time_point now = HostClock::now() + 1h;
};

TEST_F(LimiterAt, NamesTheLimitThatRefusesAndWhenToComeBack) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("caption", {.user = "alice"}));
  const Admission refused = admit("caption", {.user = "alice"});
  EXPECT_EQ(refused.verdict(), Verdict::throttled);
  EXPECT_EQ(refused_by(refused), "operations.caption.user.rate");
  EXPECT_EQ(refused.retry_after(), 6s);
  now += 6s - 1ns;
  EXPECT_FALSE(admit("caption", {.user = "alice"}));
  now += 1ns;
  EXPECT_TRUE(admit("caption", {.user = "alice"}));
}

TEST_F(LimiterAt, AnswersWithTheLimitThatTakesLongest) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admit("caption"));
  EXPECT_EQ(refused_by(admit("caption")), "operations.caption.rate[0]");
  now += 1min;
  EXPECT_TRUE(admit("caption"));
  EXPECT_TRUE(admit("caption"));  // the twelfth of the hour; the first minute earned a fifth of a token
  const Admission refused = admit("caption");
  EXPECT_EQ(refused_by(refused), "operations.caption.rate[1]");
  EXPECT_EQ(refused.retry_after(), 4min);
}

TEST_F(LimiterAt, ARefusalChargesNoLimit) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("caption", {.user = "alice"}));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(admit("caption", {.user = "alice"}));
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(admit("caption", {.user = "user " + std::to_string(i)})) << i;
  EXPECT_EQ(refused_by(admit("caption", {.user = "bob"})), "operations.caption.rate[0]");
  EXPECT_TRUE(admit("batch")) << "the global limit has 40 left";
}

TEST_F(LimiterAt, TheGlobalLimitHoldsOverAllOperations) {
  int admitted = 0;
  for (int i = 0; i < 30; ++i) admitted += admit("caption", {.user = std::to_string(i)}) ? 1 : 0;
  for (int i = 0; i < 30; ++i) admitted += admit("batch", {.user = std::to_string(i)}) ? 1 : 0;
  EXPECT_EQ(admitted, 10 + 2);
}

TEST_F(LimiterAt, ARequestThatNamesNoUserPassesTheUsersLimits) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admit("caption"));
}

TEST_F(LimiterAt, SpendsSeveralTokensAtOnceAndSaysNeverAboveTheBurst) {
  EXPECT_TRUE(admit("caption", {.user = "alice", .cost = 3}));
  EXPECT_EQ(admit("caption", {.user = "alice", .cost = 2}).retry_after(), 12s);
  const Admission never = admit("caption", {.user = "bob", .cost = 4});
  EXPECT_EQ(never.verdict(), Verdict::never);
  EXPECT_EQ(refused_by(never), "operations.caption.user.rate");
  EXPECT_EQ(never.retry_after(), 0ns);
}

TEST_F(LimiterAt, CannotJudgeACostOfNothingOrAnUnknownOperation) {
  EXPECT_EQ(admit("caption", {.cost = 0}).verdict(), Verdict::invalid);
  EXPECT_EQ(limiter.admit("captoin").verdict(), Verdict::invalid);
  EXPECT_EQ(limiter.admit(Operation{77}).verdict(), Verdict::invalid);
  const auto unknown = limiter.operation("captoin");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message(),
            "operation \"captoin\": not in the configuration; did you mean \"caption\"?");
  EXPECT_THAT(limiter.operation("zzz").error().message(), HasSubstr("there are: batch, caption"));
}

TEST_F(LimiterAt, ResetsOneUserOneOperationOrAll) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("caption", {.user = "alice"}));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("caption", {.user = "bob"}));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(admit("batch"));
  EXPECT_EQ(limiter.reset_user("alice").users, 1U);
  EXPECT_TRUE(admit("caption", {.user = "alice"}));
  EXPECT_FALSE(admit("caption", {.user = "bob"}));
  const ResetReport report = limiter.reset(*limiter.operation("caption"));
  EXPECT_EQ(report.limits, 2U);
  EXPECT_EQ(report.users, 2U);
  EXPECT_TRUE(admit("caption", {.user = "bob", .cost = 3}));
  EXPECT_FALSE(admit("batch")) << "another operation";
  EXPECT_EQ(limiter.reset().limits, 4U);
  EXPECT_TRUE(admit("batch", {.cost = 2}));
}

TEST_F(LimiterAt, ResetsNothingForAHandleThatNamesNoOperation) {
  EXPECT_TRUE(admit("batch", {.cost = 2}));
  const ResetReport report = limiter.reset(Operation{77});
  EXPECT_EQ(report.limits, 0U) << "the global limits are not those of an operation";
  EXPECT_EQ(report.users, 0U);
  EXPECT_FALSE(admit("batch"));
}

TEST_F(LimiterAt, UsersAreAnyBytesOfAnyLength) {
  const std::string binary("\0\xff\n\x1b[31m", 8);
  const std::string huge(65'536, 'x');
  for (const std::string& user : {binary, huge, std::string(" ")}) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("caption", {.user = user}));
    EXPECT_FALSE(admit("caption", {.user = user}));
    limiter.reset(*limiter.operation("caption"));
  }
}

TEST(Limiter, CountsWhatAFullTableDid) {
  for (const TableFull policy : {TableFull::refuse, TableFull::admit, TableFull::evict}) {
    Config config = config_of(kCaptions);
    config.global.shared.rates.clear();
    config.operations["caption"].shared.rates.clear();
    config.segment.users = 16;
    config.segment.when_full = policy;
    auto limiter = Limiter::open_private(config);
    const Operation caption = *limiter->operation("caption");
    const auto now = HostClock::now();
    int refused = 0;
    for (int i = 0; i < 1000; ++i)
      refused += limiter->admit_at(now, caption, {.user = std::to_string(i)}) ? 0 : 1;
    EXPECT_EQ(refused > 0, policy == TableFull::refuse);
    const Admission again = limiter->admit_at(now, caption, {.user = "0", .cost = 3});
    EXPECT_EQ(static_cast<bool>(again), policy == TableFull::evict)
        << "only eviction forgives, and only then";
  }
}

}  // namespace
}  // namespace weir

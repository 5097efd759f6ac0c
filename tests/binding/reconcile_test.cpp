// SPDX-License-Identifier: Apache-2.0

// What opening does where the segment enforces other limits than the file says.

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/log.hpp"

#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;
using ::testing::HasSubstr;

class OpenedWithAnotherFile : public ::testing::Test {
 protected:
  static void remember(std::string_view message) { said.emplace_back(message); }
  void SetUp() override {
    config.segment.name = name.str();
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    edited = config;
    edited.operations["work"].shared.rates = {{7, 1min, 7}};
    edited.operations["fresh"].shared.rates = {{3, 1min, 3}};
    said.clear();
    set_log(remember);
  }
  void TearDown() override { set_log(nullptr); }

  SegmentName name;
  Config config = *parse_config(R"(
[operations.work]
rate = "1/day burst 10"
[operations.other]
rate = "5/s"
)",
                                "test");
  Config edited;
  std::optional<Limiter> limiter;
  inline static std::vector<std::string> said;
};

TEST_F(OpenedWithAnotherFile, KeepsItsLimitsAndSaysWhatDiffersAndHowToApplyIt) {
  const auto opened = Limiter::open(edited);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->config().operations, config.operations);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("2 values differ"));
  EXPECT_THAT(said[0], HasSubstr("operations.work.rate"));
  EXPECT_THAT(said[0], HasSubstr("shm-inspect apply"));
  const auto fresh = opened->operation("fresh");
  ASSERT_FALSE(fresh);
  EXPECT_THAT(fresh.error().message(), HasSubstr("in the configuration, but not in segment"));
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot && snapshot->difference);
  EXPECT_EQ(snapshot->difference->values, 2U);
  EXPECT_EQ(snapshot->difference->key, "operations.work.rate");
  ASSERT_TRUE(apply_config(name.str(), edited));
  EXPECT_FALSE(take_snapshot(name.str())->difference) << "it was applied";
  ASSERT_TRUE(Limiter::open(edited));
  EXPECT_EQ(said.size(), 1U);
}

TEST_F(OpenedWithAnotherFile, SaysNothingOfWhatTheSegmentKeepsInRoundNumbers) {
  edited.operations.at("work").breaker = Breaker{.failure_rate = 0.123456,
                                                 .window = 10s,
                                                 .recovery = 30s,
                                                 .recovery_factor = 1.2345,
                                                 .probe_timeout = 30s};
  ASSERT_TRUE(apply_config(name.str(), edited));
  ASSERT_TRUE(Limiter::open(edited));
  EXPECT_TRUE(said.empty()) << said[0];
}

TEST_F(OpenedWithAnotherFile, AppliesItOrRefusesWhereTheConfigurationSaysSo) {
  edited.segment.on_difference = OnDifference::refuse;
  const auto refused = Limiter::open(edited);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_EQ(limiter->config().operations, config.operations);
  edited.segment.on_difference = OnDifference::apply;
  const auto opened = Limiter::open(edited);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(limiter->config().operations, edited.operations);
  EXPECT_TRUE(opened->operation("fresh"));
  EXPECT_TRUE(said.empty());
  EXPECT_FALSE(take_snapshot(name.str())->difference);
  EXPECT_EQ(change_history(name.str())->at(0).generation, 1U);
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdint>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const Limits& limits) {
  std::vector<std::string> result;
  for (const Rate& rate : limits.rates) result.push_back(format_rate(rate));
  return result;
}

TEST(Builtin, TextIsAValidConfiguration) {
  const Result<Config> config = parse_config(builtin_config_text(), "builtin");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->operations, builtin_config().operations);
  EXPECT_EQ(config->segment, builtin_config().segment);
}

TEST(Builtin, HasTheEightOperationsOfACaptionsService) {
  std::vector<std::string> names;
  for (const auto& [name, policy] : builtin_config().operations) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("ai_model_loading", "batch_processing", "cache_operation", "caption_generation",
                          "database_query", "external_api_call", "file_operation", "heavy_computation"));
}

struct Builtin {
  const char* operation;
  std::vector<std::string> rates;
  std::uint32_t concurrent;
  std::uint32_t user_concurrent;
  std::uint32_t failures;
  std::chrono::seconds recovery;
};

TEST(Builtin, LimitsEachKindOfWork) {
  const Builtin table[] = {
      {"caption_generation", {"30/min burst 10", "500/hour"}, 20, 3, 3, 30s},
      {"batch_processing", {"10/min burst 100", "100/hour"}, 10, 2, 2, 60s},
      {"ai_model_loading", {"5/min burst 1", "50/hour"}, 5, 1, 2, 120s},
      {"database_query", {"200/s burst 100"}, 50, 5, 5, 60s},
      {"external_api_call", {"60/min burst 10", "1000/hour"}, 50, 5, 5, 30s},
      {"file_operation", {"50/s burst 25"}, 50, 5, 5, 60s},
      {"cache_operation", {"2000/s burst 500"}, 50, 5, 5, 60s},
      {"heavy_computation", {"6/min burst 2", "100/hour"}, 4, 1, 5, 60s},
  };
  const Config config = builtin_config();
  for (const Builtin& row : table) {
    const OperationPolicy& policy = config.operations.at(row.operation);
    EXPECT_EQ(texts(policy.shared), row.rates) << row.operation;
    EXPECT_EQ(policy.shared.concurrent, Concurrency(row.concurrent)) << row.operation;
    EXPECT_EQ(policy.user.concurrent, Concurrency(row.user_concurrent)) << row.operation;
    EXPECT_EQ(policy.breaker->failures, row.failures) << row.operation;
    EXPECT_EQ(policy.breaker->recovery, row.recovery) << row.operation;
    EXPECT_EQ(policy.user.cooldown, Cooldown{}) << row.operation;
    EXPECT_EQ(policy.queue, (Queue{.seats = 100, .timeout = 30s})) << row.operation;
  }
}

TEST(Builtin, LimitsUsersOfExpensiveWork) {
  const Config config = builtin_config();
  EXPECT_THAT(texts(config.operations.at("caption_generation").user),
              ElementsAre("10/min burst 3", "100/hour"));
  EXPECT_THAT(texts(config.operations.at("batch_processing").user), ElementsAre("4/min burst 100"));
}

TEST(Builtin, LeavesNoOperationWithoutALimit) {
  for (const auto& [name, policy] : builtin_config().operations) {
    EXPECT_FALSE(policy.shared.rates.empty()) << name;
  }
}

TEST(Builtin, DefaultsReachTheOperationThatSaysNothing) {
  const Config config = builtin_config();
  EXPECT_THAT(texts(config.operations.at("external_api_call").shared),
              ElementsAre("60/min burst 10", "1000/hour"));
  EXPECT_THAT(texts(config.operations.at("cache_operation").user), IsEmpty());
}

}  // namespace
}  // namespace weir

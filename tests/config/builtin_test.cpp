#include <gmock/gmock.h>
#include <string>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

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

TEST(Builtin, LimitsTheExpensiveWorkOfAllAndOfEachUser) {
  const Config config = builtin_config();
  const OperationPolicy& captions = config.operations.at("caption_generation");
  EXPECT_THAT(texts(captions.shared), ElementsAre("30/min burst 10", "500/hour"));
  EXPECT_THAT(texts(captions.user), ElementsAre("10/min burst 3", "100/hour"));
  const OperationPolicy& batches = config.operations.at("batch_processing");
  EXPECT_THAT(texts(batches.shared), ElementsAre("10/min burst 2", "100/hour"));
  EXPECT_THAT(texts(batches.user), ElementsAre("4/min burst 2"));
  const OperationPolicy& loading = config.operations.at("ai_model_loading");
  EXPECT_THAT(texts(loading.shared), ElementsAre("5/min burst 1", "50/hour"));
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

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weir/policy.hpp"

#include "policy/records.hpp"
#include "policy/schema.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Config with_rate(Rate rate) {
  Config config;
  config.operations["x"].user.rates = {{1, 1s, 1}, rate};
  return config;
}

TEST(Validate, NamesTheKeyOfAnImpossibleRate) {
  for (const Rate& rate :
       {Rate{0, 1s, 1}, Rate{1, 0s, 1}, Rate{1, -1s, 1}, Rate{1, 1s, 0}, Rate{10'000'001, 1s, 1},
        Rate{1, 24h, 1000}, Rate{1, 24h * 400, 1}, Rate{~0ULL, 1s, 1}}) {
    const auto valid = validate(with_rate(rate));
    ASSERT_FALSE(valid) << rate.count;
    EXPECT_EQ(valid.error().code, Errc::config);
    EXPECT_THAT(valid.error().what, HasSubstr("operations.x.user.rate[1]"));
    EXPECT_FALSE(valid.error().hint.empty());
  }
  EXPECT_TRUE(validate(with_rate({10'000'000, 1s, 4'000'000'000})));
  EXPECT_TRUE(validate(with_rate({1, 24h, 200})));
}

TEST(Validate, NamesImpossibleSettings) {
  const auto expect_refused = [](std::string_view key, auto&& change) {
    Config config;
    change(config);
    const auto valid = validate(config);
    ASSERT_FALSE(valid) << key;
    EXPECT_THAT(valid.error().what, HasSubstr(std::string(key)));
  };
  expect_refused("segment.name", [](Config& c) { c.segment.name = "a/b"; });
  expect_refused("segment.users", [](Config& c) { c.segment.users = 0; });
  expect_refused("segment.users", [](Config& c) { c.segment.users = ~0ULL; });
  expect_refused("segment.mode", [](Config& c) { c.segment.mode = 0666; });
  expect_refused("segment.mode", [](Config& c) { c.segment.mode = 0060; });
  expect_refused("operations", [](Config& c) { c.operations["not a name"]; });
  expect_refused("operations", [](Config& c) {
    for (int i = 0; i < 257; ++i) c.operations[std::to_string(i)];
  });
  expect_refused("operations", [](Config& c) { c.global.shared.rates.assign(2046, {1, 1s, 1}); });
}

TEST(Records, SayTheConfigurationTheyWereCompiledFrom) {
  Config config;
  config.segment.name = "roundtrip";
  config.segment.when_full = TableFull::refuse;
  config.global.shared.rates = {{2000, 1s, 500}};
  config.global.user.rates = {{5, 1s, 5}};
  config.operations["a"].shared.rates = {{30, 1min, 10}, {500, 1h, 500}};
  config.operations["a"].user.rates = {{10, 1min, 3}};
  config.operations["b"];
  const detail::Records records = detail::compile(config);
  const Config back = detail::decompile(records, "roundtrip");
  EXPECT_EQ(back.segment, config.segment);
  EXPECT_EQ(back.global, config.global);
  EXPECT_EQ(back.operations, config.operations);
  std::vector<std::string> names;
  for (const auto& limit : records.limits) names.push_back(records.name(limit));
  EXPECT_THAT(names, ::testing::ElementsAre("global.rate", "global.user.rate", "operations.a.rate[0]",
                                            "operations.a.rate[1]", "operations.a.user.rate"));
}

TEST(Records, GiveEveryUserAnEntryForEachLimitThatCanApply) {
  Config config;
  config.segment.users = 3000;
  config.global.user.rates = {{5, 1s, 5}};
  config.operations["a"].user.rates = {{10, 1min, 3}, {100, 1h, 100}};
  config.operations["b"].user.rates = {{10, 1min, 3}};
  EXPECT_EQ(detail::user_entries(detail::compile(config)), 3000U * 3 * 4 / 3 + 1);
}

}  // namespace
}  // namespace weir

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weir/policy.hpp"

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
  expect_refused("global.window", [](Config& c) { c.global.shared.windows = {{5, 1us}}; });
  expect_refused("global.window", [](Config& c) {
    c.global.shared.windows = {{70'000, 1min, WindowKind::log}};
  });
  expect_refused("operations.x.user.window", [](Config& c) {
    c.operations["x"].user.windows = {{5, 1min, WindowKind::ring}};
  });
  expect_refused("global.cooldown", [](Config& c) { c.global.shared.cooldown = {1min, 0}; });
  expect_refused("global.breaker",
                 [](Config& c) { c.global.breaker = Breaker{.failures = 1, .recovery = 1s}; });
  expect_refused("operations.x.breaker",
                 [](Config& c) { c.operations["x"].breaker = Breaker{.recovery = 1s}; });
  expect_refused("operations.x.breaker.recovery",
                 [](Config& c) { c.operations["x"].breaker = Breaker{.failures = 3}; });
  expect_refused("overrides.users", [](Config& c) { c.users[std::string(65, 'x')]; });
  expect_refused("overrides.users", [](Config& c) { c.users["root"] = {true, {{{1, 1s, 1}}, {}, {}, {}}}; });
  expect_refused("global.user.rate", [](Config& c) { c.global.user.rates.assign(7, {1, 1s, 1}); });
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
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
  expect_refused("operations.x.user.window", [](Config& c) {  // more than its word can count
    c.operations["x"].user.windows = {{10'000, 1ms}};
  });
  expect_refused("global.window", [](Config& c) { c.global.shared.windows = {{5, 2ms, WindowKind::ring}}; });
  expect_refused("overrides.users", [](Config& c) { c.users[std::string(65, 'x')]; });
  expect_refused("overrides.users",
                 [](Config& c) { c.users["\xed\xa0\x80"]; });  // no file can hold a surrogate
  expect_refused("segment.on_fault", [](Config& c) { c.segment.on_fault = static_cast<OnFault>(7); });
  expect_refused("overrides.users", [](Config& c) { c.users["root"] = {true, {{{1, 1s, 1}}, {}, {}, {}}}; });
  expect_refused("global.user.rate", [](Config& c) { c.global.user.rates.assign(7, {1, 1s, 1}); });
}

TEST(Validate, NamesALimitByTheKeyThatItHasInAFile) {
  const Rate good{1, 1s, 1};
  const Rate bad{0, 1s, 1};
  Rate candidate = bad;
  candidate.mode = Mode::candidate;
  const auto key_of = [](const std::string& operation, const std::vector<Rate>& rates) {
    Config config;
    config.operations[operation].shared.rates = rates;
    const auto valid = validate(config);
    return valid ? std::string() : valid.error().what.substr(0, valid.error().what.find(':'));
  };
  EXPECT_EQ(key_of("x", {bad}), "operations.x.rate");
  EXPECT_EQ(key_of("x", {good, candidate}), "operations.x.rate.candidate");
  EXPECT_EQ(key_of("x", {good, candidate, good}), "operations.x.rate[0].candidate");
  Rate counted = good;
  counted.mode = Mode::candidate;
  EXPECT_EQ(key_of("x", {good, counted, bad}), "operations.x.rate[1]");
  EXPECT_EQ(key_of("a.b", {bad}), "operations.\"a.b\".rate");
}

// A configured value is either in force exactly or refused: it never silently becomes another value.
TEST(Validate, RefusesABurstThatCannotBeKept) {
  for (const std::uint32_t burst : {10'000'001U, 2'097'153U, 4'294'967'295U}) {
    const auto valid = validate(with_rate({10'000'000, 1s, burst}));
    ASSERT_FALSE(valid) << burst;
    EXPECT_THAT(valid.error().what, HasSubstr(std::to_string(burst)));
    EXPECT_THAT(valid.error().hint, HasSubstr("use a burst of "));
  }
  for (const std::uint32_t burst : {1U, 2'097'151U, 2'097'152U, 2'097'154U, 10'000'000U, 10'000'008U}) {
    EXPECT_TRUE(validate(with_rate({10'000'000, 1s, burst}))) << burst;
  }
}

TEST(Validate, RefusesABreakerThatContradictsItself) {
  const auto verdict = [](const Breaker& breaker) {
    Config config;
    config.operations["x"].breaker = breaker;
    const auto valid = validate(config);
    return valid ? std::string() : valid.error().what;
  };
  const Breaker good{.failure_rate = 0.5, .window_calls = 5, .recovery = 30s};
  EXPECT_EQ(verdict(good), "");
  const auto with = [&](auto&& change) {
    Breaker breaker = good;
    change(breaker);
    return verdict(breaker);
  };
  const std::string key = "operations.x.breaker.";
  EXPECT_EQ(with([](Breaker& b) { b.minimum_calls = 5; }), "");
  EXPECT_THAT(with([](Breaker& b) { b.minimum_calls = 6; }), HasSubstr(key + "minimum_calls"));
  EXPECT_THAT(with([](Breaker& b) { b.failure_rate = 0.00004; }), HasSubstr(key + "failure_rate"));
  EXPECT_EQ(with([](Breaker& b) { b.failure_rate = 0.0001; }), "");
  EXPECT_THAT(with([](Breaker& b) { b.jitter = 0.00001; }), HasSubstr(key + "jitter"));
  EXPECT_THAT(with([](Breaker& b) { b.recovery_factor = 1.001; }), HasSubstr(key + "recovery_factor"));
  EXPECT_THAT(with([](Breaker& b) { b.max_recovery = 24h * 30; }), HasSubstr(key + "max_recovery"));
  EXPECT_THAT(with([](Breaker& b) { b.slow_call = 24h * 400; }), HasSubstr(key + "slow_call"));
  EXPECT_THAT(with([](Breaker& b) { b.slow_rate = 0.5; }), HasSubstr(key + "slow_call"));
  EXPECT_THAT(with([](Breaker& b) { b.slow_call = 2s; }),
              HasSubstr(key + "slow_call: nothing looks at slow calls without slow_rate"));
}

}  // namespace
}  // namespace weir

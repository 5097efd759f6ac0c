// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <gmock/gmock.h>
#include <string>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Breaker breaker_of_three() {
  Breaker breaker;
  breaker.failures = 3;
  breaker.recovery = 30s;
  return breaker;
}

TEST(Builder, SaysWhatTheSameFileSays) {
  const Result<Config> built = ConfigBuilder("captions")
                                   .set("segment.users", "1_000_000")
                                   .global()
                                   .rate("2000/s burst 500")
                                   .operation("caption_generation")
                                   .rate("30/min burst 10")
                                   .rate("500/hour")
                                   .window("100 per 1min")
                                   .concurrent(20)
                                   .breaker({.failures = 3, .recovery = 30s})
                                   .user_rate("10/min burst 3")
                                   .user_window("50 per 1min")
                                   .user_concurrent(3)
                                   .user_cooldown(5min)
                                   .operation("image.resize")
                                   .window("100 per 1min")
                                   .cooldown(90s)
                                   .operation("free")
                                   .override_user("health check")
                                   .exempt()
                                   .override_user("partner")
                                   .rate("100/s")
                                   .operation("caption_generation")
                                   .rate("4000/day")
                                   .set("operations.caption_generation.rate[1].shadow", "true")
                                   .build();
  ASSERT_TRUE(built) << built.error().message();
  const Result<Config> file = parse_config(R"(
[segment]
name = "captions"
users = 1_000_000
[global]
rate = "2000/s burst 500"
[operations.caption_generation]
rate = ["30/min burst 10", { limit = "500/hour", shadow = true }, "4000/day"]
window = "100 per 1min"
concurrent = 20
breaker = { failures = 3, recovery = "30s" }
[operations.caption_generation.user]
rate = "10/min burst 3"
window = "50 per 1min"
concurrent = 3
cooldown = "5min"
[operations."image.resize"]
window = "100 per 1min"
cooldown = "90s"
[operations.free]
[overrides.users."health check"]
exempt = true
[overrides.users.partner]
rate = "100/s"
)",
                                           "same.toml");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(*built, *file);
  EXPECT_EQ(built->operations.at("caption_generation").breaker, breaker_of_three());
}

TEST(Builder, KeepsAMistakeForTheEnd) {
  const auto error = [](const ConfigBuilder& builder) {
    const Result<Config> built = builder.build();
    return built ? "none" : built.error().message();
  };
  EXPECT_THAT(error(ConfigBuilder("captions").operation("x").rate("30/mim").concurrent(5)),
              HasSubstr("operations.x.rate[0]: \"30/mim\": unknown period"));
  EXPECT_THAT(error(ConfigBuilder("a/b")), HasSubstr("segment.name: "));
  EXPECT_THAT(error(ConfigBuilder("x").operation("x").concurrent(0)),
              HasSubstr("concurrent: 0: out of range"));
  EXPECT_THAT(error(ConfigBuilder("x").operation("x").rate("none")),
              HasSubstr("operations.x.rate[0]: \"none\""));
  EXPECT_THAT(error(ConfigBuilder("x").exempt()), HasSubstr("global.exempt: unknown key"));
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// shm-inspect creates, checks, finds and removes segments.

#include "tools/shm_inspect.hpp"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

TEST_F(ShmInspect, CreatesTheSegmentOfAConfiguration) {
  const Ran created = on_segment({"create", write("limits.toml", kConfig)});
  EXPECT_EQ(created.status, 0) << created.err;
  EXPECT_EQ(created.out, "segment \"" + segment_.str() + "\": created\n");
  const Result<Limiter> limiter = Limiter::attach(segment_.str());
  ASSERT_TRUE(limiter) << limiter.error().message();
  EXPECT_TRUE(limiter->config().operations.contains("upload"));
}

TEST_F(ShmInspect, CreatesTheBuiltinLimits) {
  ASSERT_EQ(on_segment({"create", "builtin"}).status, 0);
  const Result<Limiter> limiter = Limiter::attach(segment_.str());
  ASSERT_TRUE(limiter) << limiter.error().message();
  EXPECT_EQ(limiter->config().operations, builtin_config().operations);
}

TEST_F(ShmInspect, LeavesAnEqualSegmentAsItIs) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload"));
  const Ran again = on_segment({"create", write("limits.toml", kConfig)});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("exists already"));
  EXPECT_EQ(named(status().at("shared_limits"), "operations.upload.rate").at("available"), 1);
}

TEST_F(ShmInspect, CreateLeavesTheLimitsOfARunningSegmentAndSaysHowToChangeThem) {
  const Limiter limiter = open();
  const Config before = limiter.config();
  const Ran other = on_segment({"create", "builtin"});
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_THAT(other.out, AllOf(HasSubstr("exists already"), HasSubstr("shm-inspect apply")));
  EXPECT_EQ(limiter.config(), before);
}

TEST_F(ShmInspect, TakesTheNameFromTheConfigurationUnlessToldOtherwise) {
  const std::string path = write("limits.toml", "segment.name = \"" + segment_.str() + "\"\n");
  EXPECT_THAT(inspect({"create", path}).out, HasSubstr(segment_.str()));
  const test::SegmentName by_option;
  EXPECT_THAT(inspect({"create", path, "--segment", by_option.str()}).out, HasSubstr(by_option.str()));
  const test::SegmentName by_environment;
  EXPECT_THAT(inspect({"create", path}, {{"WEIR_SEGMENT", by_environment.str()}}).out,
              HasSubstr(by_environment.str()));
}

TEST_F(ShmInspect, FindsTheSegmentByTheEnvironmentAndPrefersTheOption) {
  const Limiter limiter = open();
  const Ran by_environment = inspect({"status"}, {{"WEIR_SEGMENT", segment_.str()}});
  EXPECT_EQ(by_environment.status, 0) << by_environment.err;
  const Ran by_option = inspect({"status", "--segment", segment_.str()}, {{"WEIR_SEGMENT", "test-no-such"}});
  EXPECT_EQ(by_option.status, 0) << by_option.err;
}

TEST_F(ShmInspect, ChecksAConfigurationAndShowsWhatItAmountsTo) {
  const std::string path = write("good.toml", kConfig);
  const Ran good = on_segment({"check", path});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, StartsWith("[segment]\nname = \"" + segment_.str() + "\""));
  EXPECT_THAT(good.out, ContainsRegex("\nusers = 1000 +# " + path + ":3:9\n"));
  EXPECT_THAT(good.out,
              HasSubstr("\n[operations.upload.user]\nrate = \"4/hour burst 1\"  # " + path + ":8:13\n"));
  const Result<Config> again = parse_config(good.out, "again");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->operations, parse_config(kConfig, "test")->operations);
  EXPECT_FALSE(std::filesystem::exists(segment_.path())) << "check must not create anything";
}

TEST_F(ShmInspect, ChecksTheBuiltInLimitsUnderTheEnvironment) {
  const Ran ran = inspect({"check"}, {{"WEIR_SEGMENT", ""}, {"WEIR_GLOBAL__RATE", "7/s"}});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\n[global]\nrate = \"7/s\"  # environment WEIR_GLOBAL__RATE\n"));
  EXPECT_THAT(ran.out, HasSubstr("\n[operations.caption_generation]\n"));
  const Ran wrong = inspect({"check"}, {{"WEIR_SEGMENT", ""}, {"WEIR_GLOBAL__RAT", "7/s"}});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("environment WEIR_GLOBAL__RAT: there is no such key; did you mean"));
}

TEST_F(ShmInspect, ChecksForAProgramToo) {
  const Ran ran = inspect({"check", "--json", write("good.toml", kConfig)});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const json values = json::parse(ran.out).at("values");
  const auto users =
      std::ranges::find(values, "segment.users", [](const json& value) { return value.at("key"); });
  ASSERT_NE(users, values.end());
  EXPECT_EQ(users->at("value"), "1000");
  EXPECT_THAT(users->at("origin").get<std::string>(), EndsWith("good.toml:3:9"));
}

TEST_F(ShmInspect, RemarksOnQueuesWhoseEndCanOnlyWaitToBeRefused) {
  const struct {
    const char* config;
    const char* remark;  ///< nullptr: none
  } cases[] = {
      {"[operations.x]\nconcurrent = 5\n", nullptr},
      {"[operations.x]\nconcurrent = 5\nqueue = 100\ntimeout = \"30s\"\n",
       "note: operations.x.queue: the last of 100 waiters passes within the timeout of 30s only if the work "
       "takes "
       "less than 1.5s on average\n"},
      {"[global]\nconcurrent = 2\n[operations.x]\nconcurrent = 5\nqueue = 10\ntimeout = \"20s\"\n",
       "note: operations.x.queue: the last of 10 waiters passes within the timeout of 20s only if the work "
       "takes "
       "less than 4s on average\n"},
      {"[operations.x]\nqueue = 5\n", "warning: operations.x.queue: requests never wait here, since no rate"},
      {"[operations.x]\nqueue = 5\nconcurrent = { limit = 5, shadow = true }\n",
       "warning: operations.x.queue: requests never wait here"},
      {"[operations.x]\nqueue = 5\nuser.concurrent = 1\n", nullptr},
      {"[operations.x]\nqueue = 5\nrate = \"10/s\"\n",
       "note: operations.x.queue: without a concurrency limit, only requests that also wait for rates"},
      {"[operations.x]\nqueue = 30\ntimeout = \"30s\"\nconcurrent = 5\nrate = \"30/min burst 10\"\n",
       "warning: operations.x.queue: of 30 waiters at most 25 can pass within the timeout of 30s, because of "
       "operations.x.rate \"30/min burst 10\": the others can only wait to be refused\n"},
      {"[global]\nwindow = \"5 per 1min\"\n[operations.x]\nqueue = 11\nconcurrent = 5\n",
       "warning: operations.x.queue: of 11 waiters at most 10 can pass within the timeout of 1s, because of "
       "global.window \"5 per 1min\""},
      {"[operations.x]\nqueue = 100\nconcurrent = 5\n"
       "breaker = { slow_rate = 0.5, slow_call = \"2s\", window = \"1min\", recovery = \"1s\" }\n",
       "warning: operations.x.queue: if calls take 2s, which breaker.slow_call allows, the last of 100 "
       "waiters can "
       "pass after 40s, and the timeout is 1s\n"},
      {"[global]\nqueue = 5\n[operations.x]\n", "warning: global.queue: requests never wait here"},
      {"[global]\nqueue = 5\n[operations.x]\nconcurrent = 5\n", nullptr},
      {"[global]\nqueue = 5\nconcurrent = 10\n[operations.x]\n",
       "note: global.queue: the last of 5 waiters passes within the timeout of 1s only if the work takes "
       "less than "
       "2s on average\n"},
  };
  for (const auto& [config, remark] : cases) {
    const std::string path = write("queues.toml", config);
    const Ran text = inspect({"check", path});
    EXPECT_EQ(text.status, 0) << config;
    EXPECT_TRUE(parse_config(text.out, "again")) << "the standard output stays a configuration";
    const json remarks = json::parse(inspect({"check", "--json", path}).out).at("remarks");
    if (remark == nullptr) {
      EXPECT_EQ(text.err, "") << config;
      EXPECT_TRUE(remarks.empty()) << config;
      continue;
    }
    EXPECT_THAT(text.err, StartsWith(std::string("shm-inspect: ") + remark)) << config;
    ASSERT_EQ(remarks.size(), 1U) << config;
    EXPECT_EQ(remarks[0].at("warning"), std::string_view(remark).starts_with("warning"));
    EXPECT_THAT(text.err, HasSubstr(remarks[0].at("text").get<std::string>()));
    EXPECT_THAT(text.err, HasSubstr(remarks[0].at("key").get<std::string>()));
  }
}

TEST_F(ShmInspect, NamesTheMistakeInAConfiguration) {
  const std::string path = write("limits.toml", "[operations.x]\nrate = \"30/mim\"\n");
  for (const char* command : {"check", "create"}) {
    const Ran ran = on_segment({command, path});
    EXPECT_EQ(ran.status, 2);
    EXPECT_EQ(ran.err,
              "shm-inspect: " + path +
                  ":2:8: operations.x.rate: \"30/mim\": unknown period \"mim\"; use s, min, hour or day\n");
    EXPECT_THAT(ran.out, IsEmpty());
  }
}

TEST_F(ShmInspect, KeepsAMissingConfigurationApartFromAMissingSegment) {
  const Ran ran = on_segment({"create", directory_ + "/none.toml"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("none.toml: No such file or directory"));
}

TEST_F(ShmInspect, RemovesTheSegment) {
  const Limiter limiter = open();
  const Ran unasked = on_segment({"remove"});
  EXPECT_EQ(unasked.status, 2);
  EXPECT_THAT(unasked.err, HasSubstr("held in it (1 workers); if that is meant, give --yes as well\n"));
  EXPECT_TRUE(std::filesystem::exists(segment_.path()));
  const Ran ran = on_segment({"remove", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "segment \"" + segment_.str() + "\": removed\n");
  EXPECT_FALSE(std::filesystem::exists(segment_.path()));
}

TEST_F(ShmInspect, ExplainsItself) {
  const Ran help = inspect({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* word : {"create", "check", "status", "reset", "remove", "WEIR_SEGMENT", "exit status"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
  const Ran version = inspect({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.out, MatchesRegex("shm-inspect [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace weir

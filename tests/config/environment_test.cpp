// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

constexpr std::string_view kFile = R"([defaults]
rate = ["60/min burst 10", "1000/hour"]
breaker = { failures = 5, recovery = "60s" }
[operations.captions]
rate = "30/min burst 5"
user.concurrent = 3
[operations."image.resize-2"]
[overrides.users.partner]
rate = "100/s"
)";

/// A file under an environment that the test names.
class EnvironmentOver : public testing::Test {
 protected:
  EnvironmentOver() {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    std::ofstream(path_ = directory_ + "/limits.toml") << kFile;
  }
  ~EnvironmentOver() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] LoadedConfig loaded(const Environment& environment) const {
    Result<LoadedConfig> result = load_effective_config(path_, environment);
    EXPECT_TRUE(result) << result.error().message();
    return result ? *std::move(result) : LoadedConfig{};
  }

  /// The value of a key under one variable; "none" if it has no value.
  [[nodiscard]] std::string value(const Environment& environment, std::string_view key) const {
    for (const ConfigValue& value : loaded(environment).values) {
      if (value.key == key) return value.value;
    }
    return "none";
  }

  [[nodiscard]] std::string refused(const Environment& environment) const {
    const Result<LoadedConfig> result = load_effective_config(path_, environment);
    EXPECT_FALSE(result) << environment.begin()->first;
    if (result) return {};
    EXPECT_EQ(result.error().code, Errc::config);
    return result.error().message();
  }

  /// Where a value came from, with the directory left out.
  [[nodiscard]] std::string origin(const Environment& environment, std::string_view key) const {
    for (const ConfigValue& value : loaded(environment).values) {
      std::string origin = value.origin;
      for (std::size_t at; (at = origin.find(directory_ + "/")) != origin.npos;) {
        origin.erase(at, directory_.size() + 1);
      }
      if (value.key == key) return origin;
    }
    return "none";
  }

  std::string directory_ = testing::TempDir() + "weir-environment-XXXXXX";
  std::string path_;
};

struct Case {
  Environment environment;
  const char* key;
  const char* value;
};

TEST_F(EnvironmentOver, AFileSetsAnyKey) {
  const Case cases[] = {
      {{{"WEIR_GLOBAL__RATE", "60/min"}}, "global.rate", R"("60/min")"},
      {{{"WEIR_GLOBAL__USER__CONCURRENT", "9"}}, "global.user.concurrent", "9"},
      {{{"WEIR_SEGMENT__USERS", "2_000"}}, "segment.users", "2000"},
      {{{"WEIR_SEGMENT__MODE", "0660"}}, "segment.mode", R"("0660")"},
      {{{"WEIR_OPERATIONS__CAPTIONS__RATE", "60/min"}}, "operations.captions.rate", R"("60/min")"},
      {{{"WEIR_operations__captions__Rate", "60/min"}}, "operations.captions.rate", R"("60/min")"},
      {{{"WEIR_OPERATIONS__CAPTIONS__RATE", R"(["30/min", "500/hour"])"}},
       "operations.captions.rate",
       R"(["30/min", "500/hour"])"},
      {{{"WEIR_OPERATIONS__CAPTIONS__RATE", "none"}}, "operations.captions.rate", "none"},
      {{{"WEIR_OPERATIONS__CAPTIONS__RATE__CANDIDATE", "20/min"}},
       "operations.captions.rate",
       R"({ limit = "30/min burst 5", candidate = "20/min" })"},
      {{{"WEIR_OPERATIONS__CAPTIONS__USER__CONCURRENT__SHADOW", "true"}},
       "operations.captions.user.concurrent",
       "{ limit = 3, shadow = true }"},
      {{{"WEIR_OPERATIONS__IMAGE_RESIZE_2__RATE", "7/s"}}, "operations.\"image.resize-2\".rate", R"("7/s")"},
      {{{"WEIR_OVERRIDES__USERS__PARTNER__RATE", "7/s"}}, "overrides.users.partner.rate", R"("7/s")"},
      {{{"WEIR_SEGMENT", "elsewhere"}}, "segment.name", R"("weir")"},
      {{{"WEIR_CONFIG", "x"}, {"WEIR_BIN_DIR", "x"}, {"HOME__X", "x"}}, "segment.name", R"("weir")"},
  };
  for (const auto& [environment, key, expected] : cases) {
    EXPECT_EQ(value(environment, key), expected) << environment.begin()->first;
  }
}

TEST_F(EnvironmentOver, DefaultsReachesTheOperationsThatInheritThem) {
  const Environment environment = {{"WEIR_DEFAULTS__RATE", "1/s"}, {"WEIR_DEFAULTS__USER__CONCURRENT", "8"}};
  EXPECT_EQ(value(environment, "operations.\"image.resize-2\".rate"), R"("1/s")");
  EXPECT_EQ(value(environment, "operations.\"image.resize-2\".user.concurrent"), "8");
  EXPECT_EQ(value(environment, "operations.captions.rate"), R"("30/min burst 5")");
}

TEST_F(EnvironmentOver, APartOfWhatIsInheritedKeepsTheRest) {
  EXPECT_EQ(value({{"WEIR_OPERATIONS__CAPTIONS__BREAKER__FAILURES", "2"}}, "operations.captions.breaker"),
            R"({ failures = 2, recovery = "1min" })");
  EXPECT_EQ(value({{"WEIR_DEFAULTS__BREAKER__FAILURES", "2"}}, "operations.captions.breaker"),
            R"({ failures = 2, recovery = "1min" })");
}

TEST_F(EnvironmentOver, PlainNamesSetDefaults) {
  const char* const rate = "operations.\"image.resize-2\".rate";
  const char* const breaker = "operations.captions.breaker";
  const Case cases[] = {
      {{{"RATE_LIMIT_REQUESTS_PER_MINUTE", "120"}}, rate, R"(["120/min burst 10", "1000/hour"])"},
      {{{"RATE_LIMIT_REQUESTS_PER_HOUR", "500"}}, rate, R"(["60/min burst 10", "500/hour"])"},
      {{{"RATE_LIMIT_BURST_LIMIT", "20"}}, rate, R"(["60/min burst 20", "1000/hour"])"},
      {{{"RATE_LIMIT_REQUESTS_PER_MINUTE", "120"}, {"RATE_LIMIT_BURST_LIMIT", "30"}},
       rate,
       R"(["120/min burst 30", "1000/hour"])"},
      {{{"RATE_LIMIT_REQUESTS_PER_MINUTE", "120"}, {"WEIR_DEFAULTS__RATE", "1/s"}}, rate, R"("1/s")"},
      {{{"MAX_CONCURRENT_REQUESTS", "40"}}, "operations.captions.concurrent", "40"},
      {{{"MAX_CONCURRENT_PER_USER", "4"}}, "operations.\"image.resize-2\".user.concurrent", "4"},
      {{{"MAX_CONCURRENT_PER_USER", "4"}}, "operations.captions.user.concurrent", "3"},
      {{{"CIRCUIT_BREAKER_FAILURE_THRESHOLD", "7"}}, breaker, R"({ failures = 7, recovery = "1min" })"},
      {{{"CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "90"}}, breaker, R"({ failures = 5, recovery = "90s" })"},
      {{{"CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "2min"}}, breaker, R"({ failures = 5, recovery = "2min" })"},
      {{{"CONCURRENCY_TIMEOUT", ""}}, "operations.captions.timeout", "none"},
      {{{"CONCURRENCY_TIMEOUT", "30"}}, "operations.captions.timeout", R"("30s")"},
      {{{"CONCURRENCY_TIMEOUT", "500ms"}}, "operations.captions.timeout", R"("500ms")"},
      {{{"WEIR_OPERATIONS__CAPTIONS__QUEUE", "100"}}, "operations.captions.queue", "100"},
      {{{"WEIR_GLOBAL__QUEUE", "100"}}, "global.queue", "100"},
      {{{"WEIR_DEFAULTS__SHARES", "[0, 0, 1, 2]"}}, "operations.captions.shares", "[0, 0, 1, 2]"},
  };
  for (const auto& [environment, key, expected] : cases) {
    EXPECT_EQ(value(environment, key), expected) << environment.begin()->first;
  }
}

TEST_F(EnvironmentOver, PlainNamesNeedNoDefaultsInTheFile) {
  std::ofstream(path_) << "[operations.x]";
  const LoadedConfig config = loaded({{"RATE_LIMIT_REQUESTS_PER_MINUTE", "60"},
                                      {"RATE_LIMIT_REQUESTS_PER_HOUR", "1000"},
                                      {"RATE_LIMIT_BURST_LIMIT", "10"},
                                      {"MAX_CONCURRENT_REQUESTS", "50"},
                                      {"MAX_CONCURRENT_PER_USER", "5"},
                                      {"CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3"}});
  const OperationPolicy& policy = config.config.operations.at("x");
  EXPECT_THAT(policy.shared.rates, ElementsAre(Rate{60, 1min, 10}, Rate{1'000, 1h, 1'000}));
  EXPECT_EQ(policy.shared.concurrent, Concurrency(50));
  EXPECT_EQ(policy.user.concurrent, Concurrency(5));
  EXPECT_EQ(policy.breaker->failures, 3U);
  EXPECT_EQ(policy.breaker->recovery, 60s);
}

TEST_F(EnvironmentOver, AMistakeNamesTheVariable) {
  const std::pair<Environment, const char*> cases[] = {
      {{{"WEIR_GLOBAL__RATE", "60/mim"}},
       "environment WEIR_GLOBAL__RATE: global.rate: \"60/mim\": unknown period \"mim\"; use"},
      {{{"WEIR_GLOBAL__RATE", "['1/s'"}}, "environment WEIR_GLOBAL__RATE: global.rate: "},
      {{{"WEIR_GLOBAL__RAT", "1/s"}},
       "environment WEIR_GLOBAL__RAT: there is no such key; did you mean WEIR_GLOBAL__RATE?"},
      {{{"WEIR_OPERATIONS__CAPTION__RATE", "1/s"}}, "did you mean WEIR_OPERATIONS__CAPTIONS__RATE?"},
      {{{"WEIR_OPERATIONS__SOMETHING_ELSE__RATE", "1/s"}},
       "write a key of the file with \"__\" for its dots"},
      {{{"WEIR_OPERATIONS__CAPTIONS__QUEUE", "1025"}},
       "environment WEIR_OPERATIONS__CAPTIONS__QUEUE: operations.captions.queue: 1025: out of range"},
      {{{"WEIR_SEGMENT__USERS", "0"}}, "environment WEIR_SEGMENT__USERS: segment.users: 0: out of range"},
      {{{"WEIR_SEGMENT__NAME", "a/b"}}, "environment WEIR_SEGMENT__NAME: segment.name: "},
      {{{"WEIR_OPERATIONS__CAPTIONS__RATE", "1/day burst 4000000000"}},
       "environment WEIR_OPERATIONS__CAPTIONS__RATE: operations.captions.rate: "},
      {{{"WEIR_DEFAULTS__RATE__SHADOW", "true"}},
       "environment WEIR_DEFAULTS__RATE__SHADOW: defaults.rate: a list of 2"},
      {{{"RATE_LIMIT_REQUESTS_PER_MINUTE", "60/min"}},
       "environment RATE_LIMIT_REQUESTS_PER_MINUTE: \"60/min\": not a number of requests; use 1 to"},
      {{{"RATE_LIMIT_REQUESTS_PER_HOUR", "0"}},
       "environment RATE_LIMIT_REQUESTS_PER_HOUR: \"0\": not a number"},
      {{{"MAX_CONCURRENT_REQUESTS", "many"}},
       "environment MAX_CONCURRENT_REQUESTS: defaults.concurrent.limit: expected an integer, found a string"},
      {{{"CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "60.5"}},
       "environment CIRCUIT_BREAKER_RECOVERY_TIMEOUT: defaults.breaker.recovery: \"60.5\""},
      {{{"CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "5min\"x"}},
       "defaults.breaker.recovery: \"5min\"x\": unexpected \"\"x\"; write it as in \"30s\""},
      {{{"WEIR_GLOBAL__RATE", ""}},
       "environment WEIR_GLOBAL__RATE: the value is empty; unset the variable, or write none"},
      {{{"CONCURRENCY_TIMEOUT", "7200"}},
       "environment CONCURRENCY_TIMEOUT: operations.captions.timeout: the length is out of range"},
  };
  for (const auto& [environment, error] : cases) {
    EXPECT_THAT(refused(environment), HasSubstr(error)) << environment.begin()->first;
  }
}

TEST_F(EnvironmentOver, ABurstNeedsARatePerMinute) {
  std::ofstream(path_) << "[defaults]\nrate = '5/s'";
  EXPECT_THAT(refused({{"RATE_LIMIT_BURST_LIMIT", "20"}}), HasSubstr("no rate per minute that could take"));
}

TEST_F(EnvironmentOver, TwoOperationsOfOneVariableAreToldApart) {
  std::ofstream(path_) << "[operations.a-b]\n[operations.a_b]";
  EXPECT_THAT(refused({{"WEIR_OPERATIONS__A_B__RATE", "1/s"}}),
              HasSubstr("may mean operations.a-b.rate or operations.a_b.rate; rename one of them"));
}

TEST_F(EnvironmentOver, EachValueKnowsWhereItCameFrom) {
  EXPECT_EQ(origin({}, "operations.captions.rate"), "limits.toml:5:8");
  EXPECT_EQ(origin({}, "operations.captions.breaker"), "defaults at limits.toml:3:11");
  EXPECT_EQ(origin({}, "operations.captions.user.concurrent"), "limits.toml:6:19");
  EXPECT_EQ(origin({}, "segment.users"), "built in");
  EXPECT_EQ(origin({{"WEIR_SEGMENT__USERS", "5"}}, "segment.users"), "environment WEIR_SEGMENT__USERS");
  EXPECT_EQ(origin({{"WEIR_DEFAULTS__BREAKER", "{ failures = 1, recovery = '1s' }"}},
                   "operations.captions.breaker"),
            "defaults, environment WEIR_DEFAULTS__BREAKER");
  EXPECT_EQ(origin({{"WEIR_OPERATIONS__CAPTIONS__BREAKER__FAILURES", "1"}}, "operations.captions.breaker"),
            "environment WEIR_OPERATIONS__CAPTIONS__BREAKER__FAILURES and defaults at limits.toml:3:11");
  EXPECT_EQ(origin({{"WEIR_DEFAULTS__BREAKER__PROBES", "2"}}, "operations.captions.breaker"),
            "defaults at limits.toml:3:11 and defaults, environment WEIR_DEFAULTS__BREAKER__PROBES");
  EXPECT_EQ(origin({{"MAX_CONCURRENT_REQUESTS", "1"}}, "operations.captions.concurrent"),
            "defaults, environment MAX_CONCURRENT_REQUESTS");
}

TEST_F(EnvironmentOver, AFileWithItsOriginsIsAFileStill) {
  const LoadedConfig config = loaded({{"WEIR_SEGMENT__USERS", "5"}});
  const std::string text = to_toml(config);
  EXPECT_THAT(text, HasSubstr("users = 5               # environment WEIR_SEGMENT__USERS\n"));
  const Result<Config> again = parse_config(text, "again");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, config.config);
}

TEST(EnvironmentOverTheBuiltIn, IsTheSame) {
  const Result<LoadedConfig> loaded =
      load_effective_config(std::nullopt, {{"WEIR_OPERATIONS__CAPTION_GENERATION__RATE", "60/min"}});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_THAT(loaded->config.operations.at("caption_generation").shared.rates,
              ElementsAre(Rate{60, 1min, 60}));
  for (const ConfigValue& value : loaded->values) {
    const bool set = value.key == "operations.caption_generation.rate";
    EXPECT_THAT(value.origin, HasSubstr(set ? "environment WEIR_OP" : "built in")) << value.key;
    EXPECT_THAT(value.origin, Not(HasSubstr(":"))) << value.key;
  }
}

TEST_F(EnvironmentOver, OfThisProcessIsReadByLoadConfigAlone) {
  ::setenv("WEIR_SEGMENT__USERS", "77", 1);  // NOLINT(concurrency-mt-unsafe): no threads here
  ::setenv("WEIR_SEGMENT", "x", 1);          // NOLINT(concurrency-mt-unsafe)
  const Environment seen = process_environment();
  const Result<Config> file = load_config(path_);
  const Result<Config> built_in = load_builtin_config();
  const Config pure = builtin_config();
  ::unsetenv("WEIR_SEGMENT__USERS");  // NOLINT(concurrency-mt-unsafe)
  ::unsetenv("WEIR_SEGMENT");         // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(seen.count("WEIR_SEGMENT__USERS"), 1U);
  EXPECT_EQ(seen.count("WEIR_SEGMENT"), 0U);
  EXPECT_EQ(seen.count("PATH"), 0U);
  ASSERT_TRUE(file && built_in);
  EXPECT_EQ(file->segment.users, 77U);
  EXPECT_EQ(built_in->segment.users, 77U);
  EXPECT_EQ(pure.segment.users, 100'000U);
}

}  // namespace
}  // namespace weir

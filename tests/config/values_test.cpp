// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <gmock/gmock.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr std::string_view kFull = R"(
[segment]
name = "captions"
mode = "0660"
on_fault = "local"
[global]
rate = "2000/s burst 500"
[operations.captions]
rate = ["30/min burst 10", { limit = "500/hour", candidate = "400/hour" }]
window = { limit = "100 per 1min", kind = "ring", shadow = true }
concurrent = { limit = 20, candidate = 30 }
breaker = { failures = 3, failure_rate = 0.05, window = "10s", recovery = "1500ms" }
[operations.captions.user]
rate = { limit = "10/min", shadow = true }
cooldown = { for = "5min", refusals = 3 }
[operations.free]
[operations."image.resize".user]
concurrent = 3
[overrides.users."say \"hi\"\u0007"]
exempt = true
[overrides.users.partner]
rate = "100/s"
cooldown = "1min"
)";

Config full() {
  const Result<Config> config = parse_config(kFull, "full.toml");
  EXPECT_TRUE(config) << config.error().message();
  return *config;
}

std::vector<std::pair<std::string, std::string>> limits_of(const Config& config) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const ConfigValue& value : config_values(config)) {
    if (!value.key.starts_with("segment.")) pairs.emplace_back(value.key, value.value);
  }
  return pairs;
}

TEST(Values, AreListedByKeyInTheOrderOfTheFormat) {
  EXPECT_THAT(
      limits_of(full()),
      ElementsAre(
          Pair("global.rate", R"("2000/s burst 500")"),
          Pair("operations.captions.rate",
               R"(["30/min burst 10", { limit = "500/hour", candidate = "400/hour" }])"),
          Pair("operations.captions.window", R"({ limit = "100 per 1min", kind = "ring", shadow = true })"),
          Pair("operations.captions.concurrent", "{ limit = 20, candidate = 30 }"),
          Pair("operations.captions.breaker",
               R"({ failures = 3, failure_rate = 0.05, window = "10s", recovery = "1500ms" })"),
          Pair("operations.captions.user.rate", R"({ limit = "10/min", shadow = true })"),
          Pair("operations.captions.user.cooldown", R"({ for = "5min", refusals = 3 })"),
          Pair("operations.free", "{}"), Pair("operations.\"image.resize\".user.concurrent", "3"),
          Pair("overrides.users.partner.rate", R"("100/s")"),
          Pair("overrides.users.partner.cooldown", R"("1min")"),
          Pair("overrides.users.\"say \\\"hi\\\"\\u0007\".exempt", "true")));
}

TEST(Values, OfTheSegmentAreAllThere) {
  std::vector<std::string> keys;
  for (const ConfigValue& value : config_values(Config{})) keys.push_back(value.key + " = " + value.value);
  EXPECT_THAT(
      keys,
      ElementsAre("segment.name = \"weir\"", "segment.users = 100000", "segment.limits_per_user = 0",
                  "segment.workers = 256", "segment.when_full = \"evict\"", "segment.mode = \"0600\"",
                  "segment.group = \"\"", "segment.reserve = true", "segment.huge_pages = false",
                  "segment.key_names = 0", "segment.metrics = \"times\"", "segment.on_fault = \"refuse\"",
                  "segment.on_difference = \"keep\"", "segment.local_workers = 4"));
}

TEST(Values, MakeTheSameConfigurationAgainOneByOne) {
  Config again;
  for (const ConfigValue& value : config_values(full())) {
    const Result<void> set = set_value(again, value.key, value.value);
    ASSERT_TRUE(set) << set.error().message();
  }
  EXPECT_EQ(again, full());
}

TEST(Values, MakeTheSameFileAgain) {
  const std::string text = to_toml(full());
  const Result<Config> again = parse_config(text, "again");
  ASSERT_TRUE(again) << again.error().message() << '\n' << text;
  EXPECT_EQ(*again, full());
  EXPECT_EQ(to_toml(*again), text);
}

TEST(Values, ShowNoControlCharacterOfAName) {
  Config config;
  config.users["\x1b[2J\u009b2J \u00e4\x7f\n"].exempt = true;
  config.users["turned \u202e\u2066 tagged \U000e0041"].exempt = true;
  const std::string text = to_toml(config);
  EXPECT_THAT(text, HasSubstr("[overrides.users.\"turned \\u202e\\u2066 tagged \\U000e0041\"]"));
  EXPECT_THAT(text, HasSubstr("[overrides.users.\"\\u001b[2J\\u009b2J \u00e4\\u007f\\u000a\"]"));
  const Result<Config> again = parse_config(text, "again");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, config);
}

TEST(Values, AreAFileForPeople) {
  const std::string text = to_toml(full());
  EXPECT_THAT(text, HasSubstr("[operations.captions]\nrate = [\"30/min burst 10\", "));
  EXPECT_THAT(text,
              HasSubstr("\n\n[operations.free]\n\n[operations.\"image.resize\".user]\nconcurrent = 3\n"));
}

// What is set in full(): a key, a value, and the value that the key then has ("none" if it was removed).
struct Setting {
  const char* key;
  const char* value;
  const char* listed;
  const char* as;
};

TEST(SetValue, TakesEveryWayToSayIt) {
  const Setting settings[] = {
      {"global.rate", "60/min", "global.rate", R"("60/min")"},
      {"global.rate", "\"60/min\"", "global.rate", R"("60/min")"},
      {"global.rate", " ['30/min', '500/hour'] ", "global.rate", R"(["30/min", "500/hour"])"},
      {"global.rate", "none", "global.rate", "none"},
      {"global.rate", "false", "global.rate", "none"},
      {"global.rate", "[]", "global.rate", "none"},
      {"global.rate[0]", "1/s", "global.rate", R"("1/s")"},
      {"global.rate[1]", "1/s", "global.rate", R"(["2000/s burst 500", "1/s"])"},
      {"global.rate[0]", "none", "global.rate", "none"},
      {"global.rate.candidate", "5/s", "global.rate", R"({ limit = "2000/s burst 500", candidate = "5/s" })"},
      {"global.rate[0].shadow", "true", "global.rate", R"({ limit = "2000/s burst 500", shadow = true })"},
      {"global.window[0]", "5 per 1s", "global.window", R"("5 per 1s")"},
      {"global.window.limit", "5 per 1s", "global.window", R"("5 per 1s")"},
      {"global.concurrent", "20", "global.concurrent", "20"},
      {"operations.captions.rate[1]", "1/s", "operations.captions.rate", R"(["30/min burst 10", "1/s"])"},
      {"operations.captions.rate[1].candidate", "none", "operations.captions.rate",
       R"(["30/min burst 10", "500/hour"])"},
      {"operations.captions.rate[0]", "none", "operations.captions.rate",
       R"({ limit = "500/hour", candidate = "400/hour" })"},
      {"operations.captions.window.kind", "log", "operations.captions.window",
       R"({ limit = "100 per 1min", kind = "log", shadow = true })"},
      {"operations.captions.concurrent", "5", "operations.captions.concurrent", "5"},
      {"operations.captions.concurrent.candidate", "none", "operations.captions.concurrent", "20"},
      {"operations.captions.concurrent.limit", "21", "operations.captions.concurrent",
       "{ limit = 21, candidate = 30 }"},
      {"operations.captions.breaker.failures", "4", "operations.captions.breaker",
       R"({ failures = 4, failure_rate = 0.05, window = "10s", recovery = "1500ms" })"},
      {"operations.captions.breaker.recovery", "2min", "operations.captions.breaker",
       R"({ failures = 3, failure_rate = 0.05, window = "10s", recovery = "2min" })"},
      {"operations.captions.breaker", "{ failures = 5, recovery = '1s' }", "operations.captions.breaker",
       R"({ failures = 5, recovery = "1s" })"},
      {"operations.captions.breaker", "none", "operations.captions.breaker", "none"},
      {"operations.captions.user.cooldown", "1min", "operations.captions.user.cooldown", R"("1min")"},
      {"operations.captions.user.cooldown.refusals", "none", "operations.captions.user.cooldown",
       R"("5min")"},
      {"operations.captions.user.cooldown", "0s", "operations.captions.user.cooldown", "none"},
      {"operations.free.concurrent", "7", "operations.free.concurrent", "7"},
      {"operations.free.queue", "7", "operations.free.queue", "7"},
      {"operations.free.queue", "0", "operations.free.queue", "none"},
      {"operations.free.timeout", "30s", "operations.free.timeout", R"("30s")"},
      {"operations.free.timeout", "1000ms", "operations.free.timeout", "none"},
      {"operations.free.order", "lifo", "operations.free.order", R"("lifo")"},
      {"operations.free.shares", "[0, 0, 0, 16]", "operations.free.shares", "[0, 0, 0, 16]"},
      {"operations.free.push_out", "true", "operations.free.push_out", "true"},
      {"global.queue", "1024", "global.queue", "1024"},
      {"operations.free", "none", "operations.free", "none"},
      {"operations.image.resize.rate", "1/s", "operations.\"image.resize\".rate", R"("1/s")"},
      {"operations.'image.resize'.rate", "1/s", "operations.\"image.resize\".rate", R"("1/s")"},
      {"operations.new.user.rate", "1/s", "operations.new.user.rate", R"("1/s")"},
      {"operations.\"new.one\".rate", "1/s", "operations.\"new.one\".rate", R"("1/s")"},
      {"overrides.users.partner.concurrent", "9", "overrides.users.partner.concurrent", "9"},
      {"overrides.users.\"a.b \\u00e4\".rate", "1/s", "overrides.users.\"a.b \u00e4\".rate", R"("1/s")"},
      {"overrides.users.partner", "{ exempt = true }", "overrides.users.partner.exempt", "true"},
      {"overrides.users.partner", "none", "overrides.users.partner.rate", "none"},
      {"segment.users", "1_000", "segment.users", "1000"},
      {"segment.mode", "0640", "segment.mode", R"("0640")"},
      {"segment.name", "other", "segment.name", R"("other")"},
      {"segment.name", "none", "segment.name", R"("weir")"},
      {"segment.when_full", "admit", "segment.when_full", R"("admit")"},
  };
  for (const auto& [key, value, listed, as] : settings) {
    Config config = full();
    const Result<void> set = set_value(config, key, value);
    EXPECT_TRUE(set) << key << " = " << value << ": " << set.error().message();
    std::string is = "none";
    for (const ConfigValue& entry : config_values(config)) {
      if (entry.key == listed) is = entry.value;
    }
    EXPECT_EQ(is, as) << key << " = " << value;
  }
}

TEST(SetValue, RefusesWhatMeansNothingAndChangesNothing) {
  const struct {
    const char* key;
    const char* value;
    const char* error;
  } cases[] = {
      {"global.rate", "60/mim", "global.rate: \"60/mim\": unknown period \"mim\"; use s"},
      {"global.rate", "['1/s'", "global.rate: \"['1/s'\": "},
      {"global.rate", "['1/s']\nsegment = 1", "more than one value"},
      {"global.rate", "", "the count is missing"},
      {"global.rte", "1/s", "global.rte: unknown key; did you mean \"rate\"?"},
      {"globl.rate", "1/s", "globl: unknown key; did you mean \"global\"?"},
      {"global.queue", "1025", "global.queue: 1025: out of range; use 0 to 1024"},
      {"global.user.queue", "5", "global.user.queue: unknown key; only operations"},
      {"global.queue.limit", "5", "global.queue: "},
      {"global.rate[2]", "1/s",
       "global.rate: there is no [2]: the list has 1 entry; use at most [1], which adds an entry"},
      {"global.rate[1]", "none", "global.rate: there is no [1]"},
      {"operations.captions.rate.shadow", "true",
       "operations.captions.rate: a list of 2; name one of them, as in operations.captions.rate[0]"},
      {"segment.users.limit", "5", "segment.users: an integer has no parts"},
      {"segment.users", "0", "segment.users: 0: out of range"},
      {"segment.name", "a/b", "segment.name: "},
      {"segment.name", "2024",
       "segment.name: expected a string, found an integer; write it in quotes: \"2024\""},
      {"defaults.rate", "1/s",
       "defaults.rate: [defaults] exists only in a file; set the value of an operation"},
      {"operations.new.one.rate", "1/s", "operations.new.one: unknown key; an operation with a dot"},
      {"operations.bad name.rate", "1/s", "\"bad name\": not a name for an operation"},
      {"", "1/s", "has an empty part; write the key as in operations.x.rate[0]"},
      {"global.", "1/s", "has an empty part"},
      {"global..rate", "1/s", "has an empty part"},
      {"global.rate[x]", "1/s", "expected a number in [ ]"},
      {"global.rate[0", "1/s", "expected a number in [ ]"},
      {"global.rate[99999999999999999999]", "1/s", "expected a number in [ ]"},
      {"global.rate]", "1/s", "unexpected \"]\""},
      {"overrides.users.\xff.rate", "1/s", "only ASCII may stand without quotes"},
      {"segment.group", "\xff", "segment.group: \"\\xff\": only ASCII may stand without quotes"},
      {"segment.group", "'\xff'", "segment.group: "},
      {"global.\"rate", "1/s", "a quote is not closed"},
      {"global.\"\\x\"", "1/s", "a name in quotes is not valid TOML"},
      {"[0]", "1/s", "[0]: has an empty part"},
  };
  for (const auto& [key, value, error] : cases) {
    Config config = full();
    const Result<void> set = set_value(config, key, value);
    ASSERT_FALSE(set) << key << " = " << value;
    EXPECT_EQ(set.error().code, Errc::config);
    EXPECT_THAT(set.error().message(), HasSubstr(error)) << key << " = " << value;
    EXPECT_EQ(config, full()) << key;
  }
}

TEST(SetValue, AddsAnOperationThatHasOnlyThatLimit) {
  Config config;
  ASSERT_TRUE(set_value(config, "operations.export.user.rate", "1/s"));
  ASSERT_EQ(config.operations.size(), 1U);
  OperationPolicy expected;
  expected.user.rates = {{1, 1s, 1}};
  EXPECT_EQ(config.operations.at("export"), expected);
}

TEST(SetValue, RemovesNothingWhereNothingIs) {
  Config config;
  for (const char* key :
       {"operations.x", "operations.x.rate", "overrides.users.x.rate", "global.concurrent"}) {
    EXPECT_TRUE(set_value(config, key, "none")) << key;
  }
  EXPECT_EQ(config, Config{});
}

TEST(SetValue, PrefersTheNameThatIsThere) {
  Config config;
  config.operations["a"];
  config.operations["a.user"];
  config.operations["a.b"];
  ASSERT_TRUE(set_value(config, "operations.a.user.rate", "1/s"));
  ASSERT_TRUE(set_value(config, "operations.a.b.rate", "2/s"));
  ASSERT_TRUE(set_value(config, "operations.\"a.user\".rate", "3/s"));
  EXPECT_EQ(config.operations["a"].user.rates.size(), 1U);
  EXPECT_EQ(config.operations["a.b"].shared.rates.size(), 1U);
  EXPECT_EQ(config.operations["a.user"].shared.rates.size(), 1U);
}

TEST(Difference, IsEmptyBetweenTheSame) {
  EXPECT_THAT(config_difference(full(), full()), IsEmpty());
}

TEST(Difference, NamesWhatChangedCameAndWent) {
  Config to = full();
  ASSERT_TRUE(set_value(to, "global.rate", "1/s"));
  ASSERT_TRUE(set_value(to, "operations.captions.window", "none"));
  ASSERT_TRUE(set_value(to, "operations.captions.user.concurrent", "2"));
  ASSERT_TRUE(set_value(to, "operations.free", "none"));
  ASSERT_TRUE(set_value(to, "operations.new", "{ rate = '1/s', user.rate = '2/s' }"));
  ASSERT_TRUE(set_value(to, "overrides.users.partner", "none"));
  EXPECT_THAT(
      config_difference(full(), to),
      ElementsAre(ConfigChange{"operations.free", "{}", "none"},
                  ConfigChange{"overrides.users.partner", R"({ rate = "100/s", cooldown = "1min" })", "none"},
                  ConfigChange{"operations.captions.window",
                               R"({ limit = "100 per 1min", kind = "ring", shadow = true })", "none"},
                  ConfigChange{"global.rate", R"("2000/s burst 500")", R"("1/s")"},
                  ConfigChange{"operations.captions.user.concurrent", "none", "2"},
                  ConfigChange{"operations.new", "none", R"({ rate = "1/s", user = { rate = "2/s" } })"}));
}

TEST(Difference, NamesTheValueInForceWhereAKeyIsLeftOut) {
  Config from;
  Config to;
  for (Config* config : {&from, &to}) {
    config->operations["work"].shared.concurrent.limit = 1;
    config->users["vip"] = {};
  }
  const std::pair<std::string, std::pair<std::string, std::string>> settings[] = {
      {"global.queue", {"0", "7"}},
      {"operations.work.queue", {"0", "7"}},
      {"operations.work.timeout", {R"("1s")", R"("7s")"}},
      {"operations.work.order", {R"("fifo")", R"("lifo")"}},
      {"operations.work.shares", {"[1, 1, 1, 1]", "[1, 1, 1, 2]"}},
      {"operations.work.push_out", {"false", "true"}},
      {"overrides.users.vip.exempt", {"false", "true"}},
  };
  for (const auto& [key, values] : settings) {
    const auto& [usual, other] = values;
    Config changed = to;
    ASSERT_TRUE(set_value(changed, key, other)) << key;
    EXPECT_THAT(config_difference(from, changed), Contains(ConfigChange{key, usual, other}));
    EXPECT_THAT(config_difference(changed, from), Contains(ConfigChange{key, other, usual}));
  }
}

TEST(Difference, LeadsThereAndBack) {
  Config emptied = full();
  for (const char* key : {"operations.captions", "operations.image.resize", "overrides.users.partner"}) {
    ASSERT_TRUE(set_value(emptied, key, "{}"));
  }
  const Config ends[] = {Config{}, builtin_config(), full(), emptied};
  for (const Config& from : ends) {
    for (const Config& to : ends) {
      Config config = from;
      const Result<void> applied = apply_changes(config, config_difference(from, to));
      ASSERT_TRUE(applied) << applied.error().message();
      EXPECT_EQ(config, to) << to_toml(config) << "\nis not\n" << to_toml(to);
    }
  }
}

TEST(ApplyChanges, ChecksTheWholeOnlyWhenAllAreMade) {
  Config config;
  const std::vector<ConfigChange> changes = {{"operations.x.breaker.recovery", "none", "30s"},
                                             {"operations.x.breaker.failures", "none", "3"}};
  ASSERT_TRUE(apply_changes(config, changes));
  EXPECT_EQ(config.operations.at("x").breaker->failures, 3U);
  EXPECT_FALSE(apply_changes(config, {{"global.rate", "none", "1/s"}, {"global.rate", "", "1/x"}}));
  EXPECT_THAT(config.global.shared.rates, IsEmpty());
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <random>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/config.hpp"

#include "support/fork.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Config parsed(std::string_view toml) {
  const Result<Config> config = parse_config(toml, "captions.toml");
  EXPECT_TRUE(config) << config.error().message() << "\nin\n" << toml;
  return config ? *config : Config{};
}

/// The error as a tool prints it.
std::string refused(std::string_view toml) {
  const Result<Config> config = parse_config(toml, "captions.toml");
  EXPECT_FALSE(config) << "accepted:\n" << toml;
  if (config) return {};
  EXPECT_EQ(config.error().code, Errc::config) << config.error().what;
  return config.error().message();
}

TEST(Parse, ReadsTheWholeFormat) {
  const Config config = parsed(R"(
[segment]
name = "captions"
users = 1_000_000
when_full = "refuse"
mode = "0660"
group = "www-data"
reserve = false
huge_pages = true
key_names = 1000
on_fault = "local"
local_workers = 8

[global]
rate = "2000/s burst 500"
user.rate = "100/s"

[operations.caption_generation]
rate = ["30/min burst 10", "500/hour"]
[operations.caption_generation.user]
rate = ["10/min burst 3", "100/hour"]
)");
  EXPECT_EQ(config.segment.name, "captions");
  EXPECT_EQ(config.segment.users, 1'000'000U);
  EXPECT_EQ(config.segment.when_full, TableFull::refuse);
  EXPECT_EQ(config.segment.mode, 0660U);
  EXPECT_EQ(config.segment.group, "www-data");
  EXPECT_FALSE(config.segment.reserve);
  EXPECT_TRUE(config.segment.huge_pages);
  EXPECT_EQ(config.segment.key_names, 1'000U);
  EXPECT_EQ(config.segment.on_fault, OnFault::local);
  EXPECT_EQ(config.segment.local_workers, 8U);
  EXPECT_THAT(config.global.shared.rates, ElementsAre(Rate{2'000, 1s, 500}));
  EXPECT_THAT(config.global.user.rates, ElementsAre(Rate{100, 1s, 100}));
  ASSERT_EQ(config.operations.size(), 1U);
  const OperationPolicy& captions = config.operations.at("caption_generation");
  EXPECT_THAT(captions.shared.rates, ElementsAre(Rate{30, 1min, 10}, Rate{500, 1h, 500}));
  EXPECT_THAT(captions.user.rates, ElementsAre(Rate{10, 1min, 3}, Rate{100, 1h, 100}));
}

TEST(Parse, TakesAnEmptyFileForNoLimits) {
  const Config config = parsed("");
  EXPECT_EQ(config.segment, SegmentPolicy{});
  EXPECT_EQ(config.global, OperationPolicy{});
  EXPECT_THAT(config.operations, IsEmpty());
}

TEST(Parse, ReadsEveryPolicyForAFullTable) {
  EXPECT_EQ(parsed("segment.when_full = 'evict'").segment.when_full, TableFull::evict);
  EXPECT_EQ(parsed("segment.when_full = 'refuse'").segment.when_full, TableFull::refuse);
  EXPECT_EQ(parsed("segment.when_full = 'admit'").segment.when_full, TableFull::admit);
}

TEST(Parse, ReadsEveryAnswerToAFault) {
  EXPECT_EQ(parsed("segment.on_fault = 'refuse'").segment.on_fault, OnFault::refuse);
  EXPECT_EQ(parsed("segment.on_fault = 'admit'").segment.on_fault, OnFault::admit);
  EXPECT_EQ(parsed("segment.on_fault = 'local'").segment.on_fault, OnFault::local);
}

TEST(Parse, ReadsAnOctalIntegerAsMode) {
  EXPECT_EQ(parsed("segment.mode = 0o600").segment.mode, 0600U);
}

TEST(Defaults, FillInForAnOperationThatLeavesRateOut) {
  const Config config = parsed(R"(
[defaults]
rate = "60/min burst 10"
user.rate = "6/min"
[operations.none]
[operations.shared]
rate = "1/s"
[operations.user]
user.rate = "2/s"
[operations.empty_user]
user = {}
)");
  const Rate shared{60, 1min, 10};
  const Rate user{6, 1min, 6};
  EXPECT_THAT(config.operations.at("none").shared.rates, ElementsAre(shared));
  EXPECT_THAT(config.operations.at("none").user.rates, ElementsAre(user));
  EXPECT_THAT(config.operations.at("shared").shared.rates, ElementsAre(Rate{1, 1s, 1}));
  EXPECT_THAT(config.operations.at("shared").user.rates, ElementsAre(user));
  EXPECT_THAT(config.operations.at("user").shared.rates, ElementsAre(shared));
  EXPECT_THAT(config.operations.at("user").user.rates, ElementsAre(Rate{2, 1s, 2}));
  EXPECT_THAT(config.operations.at("empty_user").user.rates, ElementsAre(user));
}

TEST(Defaults, YieldToAnEmptyList) {
  const Config config = parsed(
      "defaults.rate = '1/s'\ndefaults.user.rate = '1/s'\n"
      "operations.free = { rate = [], user = { rate = [] } }");
  EXPECT_EQ(config.operations.at("free"), OperationPolicy{});
}

TEST(Defaults, DoNotReachTheGlobalLimits) {
  EXPECT_EQ(parsed("defaults.rate = '1/s'").global, OperationPolicy{});
}

TEST(ParseError, NamesFileLineColumnKeyAndNextStep) {
  EXPECT_EQ(
      refused("[operations.x]\nrate = [\"1/s\",\n       \"30/mim\"]"),
      "captions.toml:3:8: operations.x.rate[1]: \"30/mim\": unknown period \"mim\"; use s, min, hour or day");
}

TEST(ParseError, SuggestsTheKeyThatWasMeant) {
  EXPECT_EQ(refused("[operations.x]\nrtae = '1/s'"),
            "captions.toml:2:1: operations.x.rtae: unknown key; did you mean \"rate\"?");
  EXPECT_THAT(refused("[operation.x]"), HasSubstr("operation: unknown key; did you mean \"operations\"?"));
  EXPECT_THAT(refused("segment.when_ful = 'evict'"), HasSubstr("did you mean \"when_full\"?"));
  EXPECT_THAT(refused("[operations.x.user]\nrates = '1/s'"),
              HasSubstr("operations.x.user.rates: unknown key"));
}

TEST(ParseError, ListsTheKeysWhenNoneIsNear) {
  EXPECT_THAT(refused("[limits]"),
              HasSubstr("use \"segment\" or \"global\" or \"defaults\" or \"operations\" or \"overrides\""));
}

TEST(ParseError, NamesAMisspeltPolicyAndItsChoices) {
  EXPECT_EQ(refused("segment.when_full = 'drop'"),
            "captions.toml:1:21: segment.when_full: \"drop\": not one of the choices; use \"evict\" or "
            "\"refuse\" or "
            "\"admit\"");
  EXPECT_THAT(refused("segment.on_fault = 'admitt'"), HasSubstr("did you mean \"admit\"?"));
}

TEST(ParseError, TellsWhoHasAQueue) {
  for (const std::string key : {"queue", "timeout", "order", "shares", "push_out"}) {
    for (const std::string table : {"segment", "operations.x.user", "overrides.users.bob"}) {
      const std::string message = refused("[" + table + "]\n" + key + " = 1");
      EXPECT_THAT(message, HasSubstr(table + "." + key +
                                     ": unknown key; only operations, [defaults] and "
                                     "[global] have a queue"));
    }
  }
}

TEST(ParseError, NamesTheTypeItFound) {
  EXPECT_THAT(refused("operations = 5"), HasSubstr("operations: expected a table, found an integer"));
  EXPECT_THAT(refused("operations.x = '1/s'"), HasSubstr("operations.x: expected a table, found a string"));
  EXPECT_THAT(refused("global.rate = 30"), HasSubstr("global.rate: expected a rate, found an integer"));
  EXPECT_THAT(refused("global.rate = [['1/s']]"), HasSubstr("global.rate[0]: expected a rate, found a list"));
  EXPECT_THAT(refused("global.user = '1/s'"), HasSubstr("global.user: expected a table, found a string"));
  EXPECT_THAT(refused("segment.users = 1.5"), HasSubstr("expected an integer, found a decimal number"));
  EXPECT_THAT(refused("segment.reserve = 'yes'"), HasSubstr("expected true or false, found a string"));
  EXPECT_THAT(refused("segment.name = 1979-05-27"), HasSubstr("expected a string, found a date or time"));
}

TEST(ParseError, ShowsEveryWrongRateOfTheFormat) {
  EXPECT_THAT(refused("global.rate = '0/s'"), HasSubstr("the count must be at least 1"));
  EXPECT_THAT(refused("global.rate = '-1/s'"), HasSubstr("the count must be at least 1"));
  EXPECT_THAT(refused("global.rate = '1.5/s'"), HasSubstr("write \"3/2s\" instead of \"1.5/s\""));
  EXPECT_THAT(refused("global.rate = '1/s burst 0'"), HasSubstr("the burst must be at least 1"));
  EXPECT_THAT(refused("global.rate = '1/s burst 99999999999'"), HasSubstr("the burst is too large"));
}

TEST(ParseError, RefusesAUserCountBelowOne) {
  EXPECT_THAT(refused("segment.users = 0"), HasSubstr("segment.users: 0: out of range; use 1 to"));
  EXPECT_THAT(refused("segment.users = -1"), HasSubstr("segment.users: -1: out of range; use 1 to"));
}

TEST(ParseError, RefusesAModeThatIsNotOctal) {
  for (const char* mode : {"600", "'0800'", "'rw'", "''", "true", "0o77777", "'-600'", "0x180"}) {
    EXPECT_THAT(refused("segment.mode = " + std::string(mode)), HasSubstr("write mode = \"0600\"")) << mode;
  }
}

TEST(ParseError, RefusesANameThatNoOperationMayHave) {
  EXPECT_THAT(refused("[operations.'a b']"), HasSubstr("\"a b\": not a name for an operation"));
  EXPECT_THAT(refused("[operations.'']"), HasSubstr("\"\": not a name for an operation"));
  EXPECT_THAT(refused("[operations." + std::string(65, 'x') + "]"), HasSubstr("not a name for an operation"));
  EXPECT_EQ(parsed("[operations." + std::string(64, 'x') + "]\nrate = '1/s'").operations.size(), 1U);
  EXPECT_EQ(parsed("[operations.'a-b_c.D9']\nrate = '1/s'").operations.count("a-b_c.D9"), 1U);
}

TEST(ParseError, TellsHowToWriteADotInAName) {
  EXPECT_THAT(refused("[operations.image.resize]\nrate = '1/s'"),
              HasSubstr("needs quotes: [operations.\"image.resize\"]"));
}

TEST(ParseError, RefusesAKeyThatIsThereTwice) {
  EXPECT_THAT(refused("[global]\nrate = '1/s'\nrate = '2/s'"), StartsWith("captions.toml:3:"));
  EXPECT_THAT(refused("[operations.x]\nrate = '1/s'\n[operations.x]\n"), StartsWith("captions.toml:3:"));
}

TEST(ParseError, ShowsWhereTheTomlEnds) {
  const std::string message = refused("[global]\nrate = 30/min");
  EXPECT_THAT(message, StartsWith("captions.toml:2:10: "));
  EXPECT_THAT(message, HasSubstr("text needs quotes, as in rate = \"30/min\""));
}

TEST(ParseError, AdvisesWhatMendsTheLine) {
  for (const char* value : {"30/min", "alice", "5 per 1s"}) {
    EXPECT_THAT(refused("[global]\nrate = " + std::string(value)), HasSubstr("; text needs quotes, as in"))
        << value;
  }
  EXPECT_THAT(refused("[global]\nrate = '1/s'\nrate = '2/s'"),
              HasSubstr("; a key or a table may stand only once;"));
  EXPECT_THAT(refused("[operations.x]\n[operations.x]\n"),
              HasSubstr("; a key or a table may stand only once;"));
  for (const char* text :
       {"[global]\nrate = ['1/s',,]", "[global]\nrate = ", "[global", "global.concurrent = 5,"}) {
    const std::string message = refused(text);
    EXPECT_THAT(message, HasSubstr("; correct this line; the format of the file is TOML")) << text;
    EXPECT_THAT(message, Not(HasSubstr("needs quotes")));
  }
}

TEST(ParseError, KeepsTheFirstMistakeOfTheFile) {
  EXPECT_THAT(refused("[operations.z]\nrat = 1\n[operations.a]\nrat = 1"),
              StartsWith("captions.toml:2:1: operations.z"));
  EXPECT_THAT(refused("[operations.x.rate]\nshadow = 1\nlimit = 2"),
              StartsWith("captions.toml:2:10: operations.x.rate.shadow: "));
}

TEST(ParseError, ShowsNoControlCharacterOfTheFile) {
  for (const char* toml :
       {"\"\\u001b[2J\" = 1", "[operations.\"\\u001b[2J\"]", "global.rate = \"\\u001b[2J\"",
        "segment.when_full = \"\\u009b2J\\u007f\"", "global.\"\\u001b\".x = 1", "a = \x1b"}) {
    const std::string message = refused(toml);
    for (const char c : message) EXPECT_TRUE(c >= ' ' && c <= '~') << message;
  }
}

TEST(ParseError, IsShortForALongText) {
  EXPECT_LT(refused("global.rate = '" + std::string(100'000, 'x') + "'").size(), 400U);
  EXPECT_LT(refused("[global]\n" + std::string(100'000, 'x') + " = 1").size(), 400U);
}

TEST(ParseError, NamesThePositionOfWhatTheWholeCheckFinds) {
  EXPECT_THAT(refused("segment.name = 'no/slash'"), StartsWith("captions.toml:1:16: segment.name: "));
  EXPECT_THAT(refused("[operations.x]\nrate = ['1/s', '1/day burst 4000000000']"),
              StartsWith("captions.toml:2:16: operations.x.rate[1]: "));
  EXPECT_THAT(refused("[defaults]\nrate = '1/day burst 4000000000'\n[operations.\"a.b\"]"),
              StartsWith("captions.toml:2:8: operations.\"a.b\".rate: "));
  EXPECT_THAT(
      refused("[operations.x]\nrate = [{ limit = '1/s', candidate = '2/s' }, '1/day burst 4000000000']"),
      StartsWith("captions.toml:2:47: operations.x.rate[1]: "));
  EXPECT_THAT(refused("[overrides.users]\nx.rate = '1/s'\n\"a: b\".rate = '1/day burst 4000000000'"),
              StartsWith("captions.toml:3:15: overrides.users.\"a: b\".rate: "));
}

TEST(ParseError, AnswersAnyBytes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 300; ++i) {
    std::string bytes(256, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_THAT(refused("\x7f\x45LF" + bytes), StartsWith("captions.toml:"));
  }
}

TEST(ParseError, AnswersAnyDamageToAGoodFile) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3'000; ++i) {
    std::string text(builtin_config_text());
    for (std::uint64_t hits = 1 + random() % 4; hits > 0; --hits)
      text[random() % text.size()] = static_cast<char>(random());
    const Result<Config> config = parse_config(text, "captions.toml");
    if (!config) {
      EXPECT_THAT(config.error().what, StartsWith("captions.toml:"));
    }
  }
}

TEST(ParseError, AnswersATableHeaderWithoutAName) {
  EXPECT_THAT(refused("[global]\n[/operations.x]\n"), StartsWith("captions.toml:2:2: "));
}

TEST(ParseError, AnswersAKeyThatBeginsWithAnUmlaut) {
  EXPECT_THAT(refused("[global]\n\u00e4 = 1\n"), StartsWith("captions.toml:2:1: "));
}

TEST(Parse, ReadsConcurrencyLimitsAndWorkers) {
  const auto config = parse_config(R"(
[segment]
workers = 16
[global]
concurrent = 100
[defaults]
concurrent = 50
user.concurrent = 5
[operations.x]
rate = "1/s"
[operations.y]
concurrent = 7
user.rate = "2/s"
)",
                                   "test");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->segment.workers, 16U);
  EXPECT_EQ(config->global.shared.concurrent.limit, 100U);
  EXPECT_EQ(config->operations.at("x").shared.concurrent.limit, 50U);
  EXPECT_EQ(config->operations.at("y").shared.concurrent.limit, 7U);
  EXPECT_EQ(config->operations.at("y").user.concurrent.limit, 5U) << "each key has its own default";
}

TEST(ParseError, RefusesNoPermitsAndTooMany) {
  for (const std::string_view bad :
       {"concurrent = 0", "concurrent = -1", "concurrent = 65536", "user.concurrent = 65"}) {
    const auto config = parse_config("[operations.x]\n" + std::string(bad), "test");
    ASSERT_FALSE(config) << bad;
    EXPECT_NE(config.error().what.find("concurrent"), std::string::npos) << config.error().what;
  }
}

/// A directory of its own, gone with the test.
class Load : public testing::Test {
 protected:
  Load() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
  ~Load() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string write(const std::string& name, std::string_view text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  std::string directory_ = testing::TempDir() + "weir-config-XXXXXX";
};

TEST_F(Load, ReadsAFile) {
  const Result<Config> config = load_config(write("weir.toml", builtin_config_text()));
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->operations, builtin_config().operations);
}

TEST_F(Load, PutsThePathBeforeAnError) {
  const std::string path = write("weir.toml", "[global]\nrate = '1/x'");
  const Result<Config> config = load_config(path);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().what, path + ":2:8: global.rate: \"1/x\": unknown period \"x\"");
}

TEST_F(Load, NamesAMissingFile) {
  const Result<Config> config = load_config(directory_ + "/none.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::not_found);
  EXPECT_EQ(config.error().what, directory_ + "/none.toml: No such file or directory");
  EXPECT_THAT(config.error().hint, Not(IsEmpty()));
}

TEST_F(Load, NamesADirectory) {
  const Result<Config> config = load_config(directory_);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message(), directory_ + ": Is a directory; name the TOML file itself");
}

TEST_F(Load, NamesAFileItMayNotRead) {
  const std::string path = write("weir.toml", "");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  const int result = test::in_child([&] {
    constexpr uid_t kNobody = 65'534;
    if (::geteuid() == 0 && ::setuid(kNobody) != 0) return 2;  // root may read everything
    const Result<Config> config = load_config(path);
    return !config && config.error().code == Errc::permission ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
}

TEST_F(Load, EndsAtAFileWithoutAnEnd) {
  const Result<Config> config = load_config("/dev/zero");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().what, HasSubstr("larger than 16 MiB"));
}

}  // namespace
}  // namespace weir

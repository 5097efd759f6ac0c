// SPDX-License-Identifier: Apache-2.0
#include "weir_replay.hpp"

#include <fmt/format.h>
#include <utility>

#include "weir/config.hpp"

namespace weir::test {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr std::string_view kNoon = "17/May/2015:12:00:00 +0000";

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

TEST_F(WeirReplay, DecidesAtTheTimesOfTheLog) {
  const std::string log = log_line("a", kNoon) + log_line("a", kNoon) + log_line("b", kNoon) +
                          log_line("a", "17/May/2015:12:00:01 +0000");
  EXPECT_EQ(decisions(kOnePerSecond, log),
            (Strings{"1 admitted - 0", "2 throttled operations.http.user.rate 1000000000", "3 admitted - 0",
                     "4 admitted - 0"}));
}

TEST_F(WeirReplay, WithoutSortingALateLineCountsAtTheTimeOfTheOneBeforeIt) {
  const std::string log = log_line("a", kNoon) + log_line("b", "17/May/2015:12:00:05 +0000") +
                          log_line("a", "17/May/2015:11:59:00 +0000") +
                          log_line("a", "17/May/2015:12:00:05 +0000");
  EXPECT_EQ(decisions(kOnePerSecond, log, {"--no-sort"}),
            (Strings{"1 admitted - 0", "2 admitted - 0", "3 admitted - 0",
                     "4 throttled operations.http.user.rate 1000000000"}));
  const Json json = report(kOnePerSecond, log, {"--no-sort"});
  EXPECT_EQ(json["sorted"], false);
  EXPECT_EQ(json["out_of_order"], 1);
  EXPECT_EQ(json["too_late"], 1);
  EXPECT_TRUE(contains(replay(kOnePerSecond, log, {"--no-sort"}).out, "late       1 requests"));
}

TEST_F(WeirReplay, ComparesTimesOfDifferentZones) {
  const std::string log = log_line("a", "17/May/2015:23:30:00 -0130") +
                          log_line("a", "18/May/2015:06:45:00 +0545") +
                          log_line("a", "18/May/2015:01:00:01 +0000");
  EXPECT_EQ(
      decisions(kOnePerSecond, log),
      (Strings{"1 admitted - 0", "2 throttled operations.http.user.rate 1000000000", "3 admitted - 0"}));
  const Json json = report(kOnePerSecond, log);
  EXPECT_EQ(json["from"], "2015-05-18T01:00:00Z");
  EXPECT_EQ(json["until"], "2015-05-18T01:00:01Z");
}

TEST_F(WeirReplay, KnowsWhichLinesAreRequests) {
  const std::pair<std::string, bool> lines[] = {
      {"192.0.2.1 - - [29/Feb/2016:00:00:00 +0000] \"", true},
      {"\xff\x01 ident user [29/Feb/2016:23:59:59 +2359] \"GET / HTTP/1.0\" 200 1\r", true},
      {"192.0.2.1 - - [29/Feb/2015:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [31/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [00/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [01/apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:24:00:00 +0000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:00:60:00 +0000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:00:00:60 +0000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:00:00:00 +2400] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:00:00:00 00000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016 00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [1/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [-1/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1 - - [01/Apr/2016:00:00:00 +0000]", false},
      {"192.0.2.1 - - [01/Apr/2016:00:00:00 +0000] GET", false},
      {"192.0.2.1 - - (01/Apr/2016:00:00:00 +0000) \"", false},
      {"192.0.2.1 - [01/Apr/2016:00:00:00 +0000] \"", false},
      {" - - [01/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1  - [01/Apr/2016:00:00:00 +0000] \"", false},
      {"192.0.2.1", false},
      {"", false},
      {"192.0.2.1 - - [" + std::string(26, '\0') + "] \"", false},
  };
  for (const auto& [line, is_request] : lines) {
    const Json json = report(kOnePerSecond, log_line("a", kNoon) + line + "\n");
    EXPECT_EQ(json["requests"], is_request ? 2 : 1) << line;
    EXPECT_EQ(json["unparsed"], is_request ? 0 : 1) << line;
  }
}

TEST_F(WeirReplay, CountsUnreadableLinesAndShowsTheFirst) {
  const std::string log = log_line("a", kNoon) + "\x16\x03\x01\x1b[2J\\ \xc3\n" + "\n" +
                          log_line("a", kNoon) + "192.0.2.9 - - [17/Ma";
  const Json json = report(kOnePerSecond, log);
  EXPECT_EQ(json["requests"], 2);
  EXPECT_EQ(json["unparsed"], 3);
  EXPECT_EQ(json["first_unparsed"]["line"], 2);
  const Ran text = replay(kOnePerSecond, log);
  EXPECT_TRUE(contains(text.out, "unparsed   3, the first is line 2: \"\\x16\\x03\\x01\\x1b[2J\\ \\xc3\""))
      << text.out;
  EXPECT_EQ(decisions(kOnePerSecond, log).back(), "4 throttled operations.http.user.rate 1000000000");
}

TEST_F(WeirReplay, ReportsWhatProgramsNeed) {
  std::string log;
  for (int user = 0; user < 12; ++user) {
    for (int i = 0; i < 2 + user / 2; ++i) log += log_line(fmt::format("192.0.2.{}", 10 + user), kNoon);
  }
  log += log_line("198.51.100.1", kNoon);
  const Json json = report(kOnePerSecond, log);
  EXPECT_EQ(json["requests"], 55);
  EXPECT_EQ(json["unparsed"], 0);
  EXPECT_EQ(json["first_unparsed"], nullptr);
  EXPECT_EQ(json["admitted"], 13);
  EXPECT_EQ(json["refused"], 42);
  EXPECT_EQ(json["refused_by"], (Json{{"operations.http.user.rate", 42}}));
  EXPECT_EQ(json["users"], 13);
  ASSERT_EQ(json["top_refused"].size(), 10u);
  EXPECT_EQ(json["top_refused"][0], (Json{{"user", "192.0.2.20"}, {"requests", 7}, {"refused", 6}}));
  EXPECT_EQ(json["top_refused"][1], (Json{{"user", "192.0.2.21"}, {"requests", 7}, {"refused", 6}}));
  EXPECT_EQ(json["top_refused"][9], (Json{{"user", "192.0.2.13"}, {"requests", 3}, {"refused", 2}}));
}

TEST_F(WeirReplay, ShowsAPersonWhoWasRefusedAndByWhat) {
  const Ran ran = replay(kOnePerSecond, log_line("a", kNoon) + log_line("a", kNoon) + log_line("b", kNoon) +
                                            log_line("a", kNoon));
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out.substr(ran.out.find('\n') + 1), R"(operation  http
requests   4 by 2 users
time       2015-05-17T12:00:00Z to 2015-05-17T12:00:00Z (0s)

admitted            2   50.0 %
refused             2   50.0 %

refused by
  operations.http.user.rate          2  ##############################

most refused users   requests    refused
  a                         3          2  ####################
)");
}

TEST_F(WeirReplay, KeepsBytesOfClientsFromTerminalsAndJson) {
  const std::string user = "\x1b]0;owned\x07\xff\xc3";
  const std::string log = log_line(user, kNoon) + log_line(user, kNoon);
  const Ran text = replay(kOnePerSecond, log);
  EXPECT_TRUE(contains(text.out, "\\x1b]0;owned\\x07\\xff\\xc3")) << text.out;
  EXPECT_FALSE(contains(text.out, "\x1b"));
  EXPECT_EQ(report(kOnePerSecond, log)["top_refused"][0]["user"], "\x1b]0;owned\x07\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_F(WeirReplay, AnEmptyLogIsNoError) {
  const Json json = report(kOnePerSecond, "");
  EXPECT_EQ(json["requests"], 0);
  EXPECT_EQ(json["users"], 0);
  EXPECT_EQ(json["from"], nullptr);
  EXPECT_EQ(json["top_refused"], Json::array());
  EXPECT_EQ(replay(kOnePerSecond, "").status, 0);
}

TEST_F(WeirReplay, ReadsStandardInput) {
  const std::string config = dir_.write("limits.toml", kOnePerSecond);
  const Ran ran = run({kWeirReplay, "--config", config, "--json", "-"}, log_line("a", kNoon));
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["requests"], 1);
  const Ran piped = run({"sh", "-c", "cat | " + kWeirReplay + " --json --config " + config + " -"},
                        log_line("a", kNoon) + log_line("a", kNoon));
  ASSERT_EQ(piped.status, 0) << piped.err;
  EXPECT_EQ(Json::parse(piped.out)["refused"], 1);
}

TEST_F(WeirReplay, ReadsOnWhereAnotherLeftStandardInput) {
  const std::string log = dir_.write("access.log", log_line("a", kNoon) + log_line("a", kNoon));
  const std::string command = fmt::format("{{ read first; {} --json --config {} -; }} < {}", kWeirReplay,
                                          dir_.write("limits.toml", kOnePerSecond), log);
  const Ran ran = run({"sh", "-c", command});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["requests"], 1);
}

TEST_F(WeirReplay, AsksForTheOperationByName) {
  constexpr std::string_view kTwo =
      "[operations.login]\nrate = \"1/s\"\n[operations.upload]\nrate = \"1/s burst 9\"\n";
  EXPECT_EQ(report(kTwo, log_line("a", kNoon) + log_line("a", kNoon), {"--operation", "login"})["refused"],
            1);
  const Ran ran = replay(kTwo, log_line("a", kNoon));
  EXPECT_EQ(ran.status, 2);
  EXPECT_TRUE(contains(ran.err, "no operation \"http\"; choose with --operation one of: login, upload"))
      << ran.err;
}

TEST_F(WeirReplay, PassesTheErrorsOfTheConfigurationOn) {
  const Ran ran = replay("[operations.http]\nrate = \"many/s\"\n", log_line("a", kNoon));
  EXPECT_EQ(ran.status, 2);
  const Result<Config> config = load_config(dir_ / "limits.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(ran.err, "weir-replay: " + config.error().message() + "\n");
  EXPECT_EQ(run({kWeirReplay, "--config", dir_ / "none.toml", dir_ / "access.log"}).status, 2);
}

TEST_F(WeirReplay, RefusesOptionsThatMakeNoSense) {
  EXPECT_EQ(replay(kOnePerSecond, "", {"--workers", "0"}).status, 2);
  EXPECT_EQ(replay(kOnePerSecond, "", {"--workers", "65"}).status, 2);
  EXPECT_EQ(replay(kOnePerSecond, "", {"--colour"}).status, 2);
  EXPECT_EQ(run({kWeirReplay}).status, 2);
  EXPECT_EQ(run({kWeirReplay, "--help"}).status, 0);
  EXPECT_TRUE(contains(run({kWeirReplay, "--version"}).out, "weir-replay "));
  const Ran ran = replay(kOnePerSecond, "", {"--workers", "2", "--decisions", dir_ / "decisions"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_TRUE(contains(ran.err, "--workers")) << ran.err;
}

TEST_F(WeirReplay, NamesTheLogThatItCannotRead) {
  const std::string config = dir_.write("limits.toml", kOnePerSecond);
  const Ran missing = run({kWeirReplay, "--config", config, dir_ / "none.log"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(contains(missing.err, dir_ / "none.log\": No such file")) << missing.err;
  EXPECT_EQ(run({kWeirReplay, "--config", config, dir_ / ""}).status, 1);
}

TEST_F(WeirReplay, NeverOverwritesTheLogWithItsDecisions) {
  const Ran ran = replay(kOnePerSecond, log_line("a", kNoon),
                         {"--decisions", dir_ / "../" + dir_.name() + "/access.log"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(read_file(dir_ / "access.log"), log_line("a", kNoon));
}

TEST_F(WeirReplay, AFullDiskIsNoSuccess) {
  const Ran decisions_lost = replay(kOnePerSecond, log_line("a", kNoon), {"--decisions", "/dev/full"});
  EXPECT_EQ(decisions_lost.status, 1);
  EXPECT_TRUE(contains(decisions_lost.err, "No space left")) << decisions_lost.err;
  const Ran report_lost = run(
      {"sh", "-c",
       fmt::format("{} --config {} {} > /dev/full", kWeirReplay, dir_ / "limits.toml", dir_ / "access.log")});
  EXPECT_EQ(report_lost.status, 1);
}

TEST_F(WeirReplay, RefusesALogLongerThanASegmentServes) {
  const std::string log = log_line("a", kNoon) + log_line("a", "16/May/2018:12:00:00 +0000");
  EXPECT_EQ(report(kOnePerSecond, log)["admitted"], 2);
  const std::string longer = log + log_line("a", "17/May/2018:12:00:00 +0000");
  for (const Strings& options : {Strings{}, Strings{"--workers", "2"}, Strings{"--no-sort"}}) {
    const Ran ran = replay(kOnePerSecond, longer, options);
    EXPECT_EQ(ran.status, 1);
    EXPECT_TRUE(contains(ran.err, "line 3: more than 3 years after the first")) << ran.err;
  }
}

TEST_F(WeirReplay, OneBadYearIsOneBadLine) {
  const std::string good = log_line("a", kNoon) + log_line("a", "17/May/2015:12:00:01 +0000");
  for (const std::string_view time :
       {"17/May/2115:12:00:00 +0000", "01/Jan/1970:00:00:00 +0000", "17/May/0015:12:00:00 +0000",
        "17/May/9999:12:00:00 +0000", "01/Jan/1970:00:00:00 +2300"}) {
    for (const Strings& options : {Strings{}, Strings{"--no-sort"}}) {
      const Json last = report(kOnePerSecond, good + log_line("a", time), options);
      EXPECT_EQ(last["admitted"], 2) << time;
      EXPECT_EQ(last["unparsed"], 1) << time;
      EXPECT_EQ(last["first_unparsed"]["line"], 3) << time;
      const Json first = report(kOnePerSecond, log_line("a", time) + good, options);
      EXPECT_EQ(first["admitted"], 2) << time;
      EXPECT_EQ(first["first_unparsed"]["line"], 1) << time;
    }
  }
}

TEST_F(WeirReplay, WarnsWhenTheTableHoldsFewerUsersThanTheLog) {
  const std::string log = log_line("a", kNoon) + log_line("b", kNoon);
  const std::string small = "[segment]\nusers = 1\n" + std::string(kOnePerSecond);
  EXPECT_TRUE(contains(replay(small, log).err, "2 users, but segment.users is 1"));
  for (const std::string_view limit :
       {"window = \"9 per 1h\"", "window = { limit = \"9 per 1h\", kind = \"fixed\" }"}) {
    const std::string config = fmt::format("[segment]\nusers = 1\n[operations.http.user]\n{}\n", limit);
    EXPECT_TRUE(contains(replay(config, log).err, "2 users, but segment.users is 1")) << limit;
  }
  EXPECT_EQ(replay("[segment]\nusers = 1\n[operations.http]\nrate = \"1/s\"\n", log).err, "");
}

}  // namespace
}  // namespace weir::test

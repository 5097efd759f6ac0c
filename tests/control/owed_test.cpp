// SPDX-License-Identifier: Apache-2.0

// What is owed under a limit survives every live change of it.

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>

#include "weir/control.hpp"
#include "weir/fields.hpp"
#include "weir/limiter.hpp"

#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;
using ::testing::HasSubstr;

/// A segment of one operation, "work", in the middle of a day of its clock.
class Owed : public ::testing::Test {
 protected:
  void open(const std::string& limits) {
    auto config = parse_config("[segment]\nusers = 50\nworkers = 8\nlimits_per_user = 8\n" + limits, "test");
    ASSERT_TRUE(config) << config.error().message();
    config->segment.name = name.str();
    auto opened = Limiter::open(*config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
  }
  int admitted(int asked, const Request& request = {.user = "u"}) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += limiter->admit("work", request) ? 1 : 0;
    return count;
  }
  void set(std::string_view key, std::string_view value) {
    const auto report = set_limit(name.str(), key, value);
    EXPECT_TRUE(report) << report.error().message();
  }
  std::uint32_t remaining(std::string_view limit) {
    for (const Quota& quota : limiter->quotas(*limiter->operation("work"), {.user = "u"})) {
      if (quota.name == limit) return quota.remaining;
    }
    ADD_FAILURE() << "no limit " << limit;
    return 0;
  }

  SegmentName name;
  std::optional<Limiter> limiter;
};

TEST_F(Owed, AnEqualLimitKeepsItsStateWhereverItStandsInTheList) {
  open(
      "[operations.work]\n"
      "rate = [\"600/min burst 600\", \"500/h burst 500\"]\n"
      "user.rate = [\"600/min burst 600\", \"500/h burst 500\"]\n");
  EXPECT_EQ(admitted(700), 500);
  const std::string both = R"(["600/min burst 600", "500/h burst 500"])";
  const std::string hourly = R"(["500/h burst 500"])";
  const std::string turned = R"(["500/h burst 500", "600/min burst 600"])";
  const std::string more = R"(["7000/min burst 7000", "600/min burst 600", "500/h burst 500"])";
  for (const std::string& list : {hourly, both, turned, more, hourly, turned, both}) {
    set("operations.work.rate", list);
    set("operations.work.user.rate", list);
    EXPECT_LE(admitted(700), 1) << list;
  }
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(roll_back(name.str()));
    EXPECT_LE(admitted(700), 1) << i;
  }
}

TEST_F(Owed, ListsAreShownAsTheyWereWritten) {
  open("[operations.work]\nrate = [\"600/min\", \"500/h\"]\nwindow = [\"10 per 1min\", \"100 per 1h\"]\n");
  set("operations.work.rate", R"(["500/h", "9/s", "600/min"])");
  set("operations.work.window", R"(["100 per 1h", "10 per 1min", "5 per 1s"])");
  const Limits shown = limiter->config().operations.at("work").shared;
  EXPECT_EQ(shown.rates, (std::vector<Rate>{{500, 1h, 500}, {9, 1s, 9}, {600, 1min, 600}}));
  ASSERT_EQ(shown.windows.size(), 3U);
  EXPECT_EQ(shown.windows[0].length, 1h);
  EXPECT_EQ(shown.windows[1].length, 1min);
  EXPECT_EQ(shown.windows[2].length, 1s);
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot);
  const std::vector<LimitStatus> rates = kSharedLimits.rows(*snapshot);
  EXPECT_EQ(rates.at(0).name, "operations.work.rate[0]");
  EXPECT_EQ(std::get<Rate>(rates.at(0).rule).count, 500U);
  EXPECT_EQ(std::get<Rate>(rates.at(2).rule).count, 600U);
  EXPECT_EQ(std::get<Window>(kWindows.rows(*snapshot).at(2).rule).length, 1s);
}

TEST_F(Owed, AChangedLimitCarriesWhatItOwesBesideOthersThatComeAndGo) {
  open("[operations.work]\nrate = [\"600/min burst 600\", \"500/h burst 500\"]\n");
  EXPECT_EQ(admitted(700), 500);
  set("operations.work.rate", R"("400/h burst 400")");  // the hourly one, changed; the other one is gone
  EXPECT_LE(admitted(700), 1);
  set("operations.work.rate", "none");
  set("operations.work.rate", R"("400/h burst 400")");
  EXPECT_LE(admitted(700), 1);
}

TEST_F(Owed, AnOperationThatGoesAndComesBackOwesWhatItOwed) {
  open(
      "[operations.work]\nrate = \"500/h burst 5\"\nwindow = \"9 per 1h\"\nuser.rate = \"9/h burst 4\"\n"
      "[operations.other]\nrate = \"1/s\"\n");
  const Config config = limiter->config();
  EXPECT_EQ(admitted(20), 4);
  Config without = config;
  without.operations.erase("work");
  ASSERT_TRUE(apply_config(name.str(), without));
  ASSERT_TRUE(apply_config(name.str(), config));
  EXPECT_EQ(admitted(20), 0);
  EXPECT_EQ(remaining("operations.work.window"), 5U);
}

TEST_F(Owed, ARaisedLogWindowCountsWhatItCountedAlsoBeyondItsCells) {
  for (const unsigned raised : {15U, 100U, 3000U}) {
    SCOPED_TRACE(raised);
    (void)remove_segment(name.str());
    open("[operations.work]\nwindow = \"10 per 1h\"\n");
    EXPECT_EQ(admitted(50), 10);
    set("operations.work.window", std::to_string(raised) + " per 1h");
    EXPECT_EQ(admitted(6000), static_cast<int>(raised) - 10);
    set("operations.work.window", "10 per 1h");
    EXPECT_EQ(admitted(50), 0);
    set("operations.work.window", std::to_string(raised) + " per 1h");
    EXPECT_EQ(admitted(50), 0);
  }
}

TEST_F(Owed, AWindowOfAnyKindKeepsItsCountsAsAnyOther) {
  const std::vector<std::string> kinds{"log", "ring", "fixed"};
  for (const std::string& from : kinds) {
    for (const std::string& to : kinds) {
      for (const char* length : {"1h", "2h"}) {
        SCOPED_TRACE(from + " -> " + to + " per " + length);
        (void)remove_segment(name.str());
        open("[operations.work]\nwindow = { limit = \"10 per 1h\", kind = \"" + from + "\" }\n");
        EXPECT_EQ(admitted(7), 7);
        set("operations.work.window",
            "{ limit = \"10 per " + std::string(length) + "\", kind = \"" + to + "\" }");
        EXPECT_EQ(remaining("operations.work.window"), 3U);
        EXPECT_EQ(admitted(50), 3);
        if (from != to || std::string(length) != "1h") {
          ASSERT_TRUE(roll_back(name.str()));
        }
        EXPECT_EQ(admitted(50), 0);
      }
    }
  }
}

TEST_F(Owed, AWindowThatBecomesALowerLogCountsAllOfItWhenItIsRaisedAgain) {
  for (const std::string from : {"ring", "fixed"}) {
    open("[operations.work]\nwindow = { limit = \"90 per 1day\", kind = \"" + from + "\" }\n");
    EXPECT_EQ(admitted(90), 90);
    set("operations.work.window", R"({ limit = "3 per 1day", kind = "log" })");
    EXPECT_EQ(admitted(5), 0);
    set("operations.work.window", R"({ limit = "92 per 1day", kind = "log" })");
    EXPECT_EQ(admitted(5), 2) << from;
    limiter.reset();
    ASSERT_TRUE(remove_segment(name.str()));
  }
}

TEST_F(Owed, AWindowOfAUserKeepsItsCountsUnderAnotherLengthOrKind) {
  const std::vector<std::string> kinds{"weighted", "fixed"};
  for (const std::string& from : kinds) {
    for (const std::string& to : kinds) {
      for (const char* length : {"1h", "2h", "30min"}) {
        SCOPED_TRACE(from + " -> " + to + " per " + length);
        (void)remove_segment(name.str());
        open("[operations.work.user]\nwindow = { limit = \"10 per 1h\", kind = \"" + from + "\" }\n");
        EXPECT_EQ(admitted(7), 7);
        set("operations.work.user.window",
            "{ limit = \"10 per " + std::string(length) + "\", kind = \"" + to + "\" }");
        EXPECT_EQ(remaining("operations.work.user.window"), 3U);
        EXPECT_EQ(admitted(50), 3);
        if (from != to || std::string(length) != "1h") {
          ASSERT_TRUE(roll_back(name.str()));
        }
        EXPECT_EQ(admitted(50), 0);
      }
    }
  }
}

TEST_F(Owed, ATokenOfAnotherRateIsNotGivenBack) {
  open("[operations.work]\nrate = \"1000/s burst 10\"\nuser.rate = \"1000/s burst 10\"\n");
  Admission held = limiter->admit("work", {.user = "u"});
  ASSERT_TRUE(held);
  set("operations.work.rate", "1/h burst 10");
  set("operations.work.user.rate", "1/h burst 10");
  while (remaining("operations.work.rate") < 10 || remaining("operations.work.user.rate") < 10) {
  }
  EXPECT_EQ(admitted(20), 10);
  limiter->refund(*limiter->operation("work"), {.user = "u"}, held);
  EXPECT_EQ(admitted(20), 0);
}

TEST_F(Owed, ASegmentMadeWithoutLimitsOfUsersHasRoomForThem) {
  auto config = parse_config("[segment]\nusers = 100\n[operations.b]\nrate = \"1000/s\"\n", "test");
  config->segment.name = name.str();
  limiter.emplace(*Limiter::open(*config));
  set("operations.b.user.rate", R"(["2/hour burst 2", "9/day"])");
  set("operations.b.user.window", "9 per 1h");
  set("operations.b.user.concurrent", "4");
  const auto more = set_limit(name.str(), "operations.b.user.cooldown", "1min");
  ASSERT_FALSE(more) << "a fifth";
  EXPECT_EQ(more.error().code, Errc::no_space);
}

TEST_F(Owed, WhatALiveChangeAsksOfTheUserTableIsThereOrRefusedWithTheNumbers) {
  auto config = parse_config(
      "[segment]\nusers = 100\nlimits_per_user = 1\n[operations.b]\nrate = \"1000/s\"\n", "test");
  config->segment.name = name.str();
  limiter.emplace(*Limiter::open(*config));
  set("operations.b.user.rate", "2/hour burst 2");
  int passed = 0;
  for (int user = 0; user < 100; ++user) {
    const std::string key = "user" + std::to_string(user);
    for (int i = 0; i < 3; ++i) passed += limiter->admit("b", {.user = key}) ? 1 : 0;
  }
  EXPECT_EQ(passed, 200);
  EXPECT_EQ(take_snapshot(name.str())->table.evicted, 0U);
  const auto more = set_limit(name.str(), "operations.b.user.window", "9 per 1h");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::no_space);
  EXPECT_THAT(more.error().message(), HasSubstr("2 entries for each of 100 users"));
  EXPECT_THAT(more.error().message(), HasSubstr("segment.limits_per_user = 2"));
  const auto own = set_limit(name.str(), "overrides.users.bob.concurrent", "20");
  ASSERT_FALSE(own);
  EXPECT_EQ(own.error().code, Errc::no_space);
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// shm-inspect set, apply, rollback, history, users, user: as an operator uses them.

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/process.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using test::SegmentName;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ShmInspectChanges : public ::testing::Test {
 protected:
  ShmInspectChanges() {
    Config config = *parse_config(R"(
[segment]
key_names = 100
[operations.upload]
rate = "6/hour burst 2"
concurrent = 4
breaker = { failures = 3, recovery = "30s" }
user.rate = "4/hour burst 3"
user.concurrent = 2
user.cooldown = "5min"
[operations.search]
rate = { limit = "1000/s", candidate = "1/hour burst 1" }
window = "100 per 1min"
)",
                                  "test");
    config.segment.name = name.str();
    limiter.emplace(*Limiter::open(config));
  }
  Ran inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {WEIR_BIN_DIR "/shm-inspect", "--segment", name.str()});
    return test::run(std::move(arguments), {}, {});
  }

  SegmentName name;
  std::optional<Limiter> limiter;
};

TEST_F(ShmInspectChanges, SetChangesALimitOfARunningServerAndTellsWhatItWas) {
  EXPECT_TRUE(limiter->admit("upload"));
  EXPECT_TRUE(limiter->admit("upload"));
  EXPECT_FALSE(limiter->admit("upload"));
  const Ran ran = inspect({"set", "operations.upload.rate", "none"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("operations.upload.rate: "), HasSubstr("6/hour burst 2"),
                             HasSubstr("-> none"), HasSubstr("generation 1")));
  EXPECT_TRUE(limiter->admit("upload"));
}

TEST_F(ShmInspectChanges, ADryRunChangesNothing) {
  const Ran ran = inspect({"set", "operations.upload.concurrent", "3", "--dry-run"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("4 -> 3"), HasSubstr("nothing was changed")));
  EXPECT_EQ(limiter->config().operations.at("upload").shared.concurrent.limit, 4U);
}

TEST_F(ShmInspectChanges, AMistakeNamesTheKeyAndIsAUsageError) {
  const Ran value = inspect({"set", "operations.upload.rate", "a lot"});
  EXPECT_EQ(value.status, 2);
  EXPECT_THAT(value.err, HasSubstr("operations.upload.rate"));
  const Ran key = inspect({"set", "operations.upload.rte", "5/min"});
  EXPECT_EQ(key.status, 2);
  EXPECT_THAT(key.err, HasSubstr("rate"));
  const Ran nothing = inspect({"rollback"});
  EXPECT_EQ(nothing.status, 1) << "the command was right";
  EXPECT_THAT(nothing.err, HasSubstr("no change to take back: nothing was changed since it was made"));
}

TEST_F(ShmInspectChanges, ApplyThenRollbackAndTheHistoryKeepsBoth) {
  const std::string file = testing::TempDir() + name.str() + ".toml";
  std::ofstream(file) << to_toml([&] {
    Config config = limiter->config();
    config.operations.at("upload").shared.rates = {{60, std::chrono::minutes(1), 9}};
    config.operations["fresh"].shared.concurrent = 5;
    return config;
  }());
  const Ran applied = inspect({"apply", file});
  EXPECT_EQ(applied.status, 0) << applied.err;
  EXPECT_TRUE(limiter->operation("fresh"));
  const Ran back = inspect({"rollback"});
  EXPECT_EQ(back.status, 0) << back.err;
  EXPECT_FALSE(limiter->operation("fresh"));
  const Ran history = inspect({"history", "--json"});
  const json changes = json::parse(history.out).at("changes");
  EXPECT_GE(changes.size(), 4U);
  EXPECT_EQ(changes[0].at("generation"), 2);
  EXPECT_EQ(changes[0].at("program"), "shm-inspect");
  std::remove(file.c_str());
}

TEST_F(ShmInspectChanges, ABreakerIsForcedOpenAndShownSo) {
  EXPECT_EQ(inspect({"set", "operations.upload.breaker.state", "forced_open"}).status, 0);
  EXPECT_EQ(limiter->admit("upload").verdict(), Verdict::circuit_open);
  EXPECT_THAT(inspect({"status"}).out, HasSubstr("forced_open"));
  EXPECT_EQ(inspect({"set", "operations.upload.breaker.state", "automatic"}).status, 0);
  EXPECT_TRUE(limiter->admit("upload"));
  EXPECT_EQ(inspect({"set", "operations.upload.breaker.state", "ajar"}).status, 2);
  EXPECT_NE(inspect({"set", "operations.search.breaker.state", "automatic"}).status, 0);
}

TEST_F(ShmInspectChanges, ABreakerIsSwitchedUnderTheNamesThatOtherKeysHave) {
  ASSERT_EQ(
      inspect({"set", "operations.\"a.b\"", "{ breaker = { failures = 3, recovery = \"30s\" } }", "--new"})
          .status,
      0);
  for (const char* written : {"\"a.b\"", "'a.b'", "a.b"}) {
    const std::string key = "operations." + std::string(written) + ".breaker.state";
    EXPECT_EQ(inspect({"set", key, "forced_open"}).status, 0) << key;
    EXPECT_EQ(limiter->admit("a.b").verdict(), Verdict::circuit_open);
    EXPECT_EQ(inspect({"set", key, "automatic"}).status, 0) << key;
  }
  const Ran unknown = inspect({"set", "operations.uplaod.breaker.state", "forced_open"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"upload\"?"));
}

TEST_F(ShmInspectChanges, EverythingThatChangesObeysADryRunIsInTheHistoryAndSpeaksJson) {
  const auto state = [&] {
    return json::parse(inspect({"status", "--json"}).out).at("breakers").at(0).at("state").get<std::string>();
  };
  const Ran tried = inspect({"set", "operations.upload.breaker.state", "forced_open", "--dry-run", "--json"});
  EXPECT_EQ(tried.status, 0) << tried.err;
  EXPECT_EQ(json::parse(tried.out).at("changes").at(0).at("to"), "forced_open");
  EXPECT_EQ(json::parse(tried.out).at("dry_run"), true);
  EXPECT_EQ(state(), "closed");
  EXPECT_EQ(inspect({"set", "operations.upload.rate", "9/hour", "--json"}).status, 0);
  EXPECT_EQ(inspect({"set", "operations.upload.breaker.state", "forced_open"}).status, 0);
  EXPECT_EQ(state(), "forced_open");
  const json changes = json::parse(inspect({"history", "--json"}).out).at("changes");
  EXPECT_EQ(changes.at(0).at("key"), "operations.upload.breaker.state");
  EXPECT_TRUE(changes.at(0).at("undoes").is_null());
  EXPECT_EQ(inspect({"rollback", "--dry-run"}).status, 0);
  EXPECT_EQ(state(), "forced_open");
  const json back = json::parse(inspect({"rollback", "--json"}).out);
  EXPECT_EQ(back.at("generation"), 3);
  EXPECT_EQ(back.at("changes").size(), 1U);
  EXPECT_EQ(state(), "closed");
  EXPECT_EQ(limiter->config().operations.at("upload").shared.rates[0].count, 9U);
  EXPECT_EQ(inspect({"rollback", "0"}).status, 0);
  EXPECT_EQ(limiter->config().operations.at("upload").shared.rates[0].count, 6U);
  EXPECT_THAT(inspect({"history"}).out, HasSubstr("4 (takes back to 0)"));
  const json reset = json::parse(inspect({"reset", "--yes", "--json"}).out);
  EXPECT_GE(reset.at("limits"), 1);
}

TEST_F(ShmInspectChanges, AResetIsInTheHistoryAndRollbackPassesOverItAndSaysSo) {
  EXPECT_EQ(inspect({"set", "operations.upload.rate", "9/min"}).status, 0);
  ASSERT_TRUE(limiter->admit("upload", {.user = "alice"}));
  const Ran would = inspect({"reset", "--dry-run"});
  EXPECT_EQ(would.status, 0) << would.err;
  EXPECT_THAT(would.out, AllOf(HasSubstr("would reset "), HasSubstr("nothing was changed (--dry-run)")));
  EXPECT_EQ(json::parse(inspect({"history", "--json"}).out).at("changes").size(), 1U);
  EXPECT_EQ(json::parse(inspect({"reset", "--dry-run", "--json"}).out).at("dry_run"), true);

  EXPECT_EQ(inspect({"reset", "--yes"}).status, 0);
  EXPECT_EQ(inspect({"reset", "--yes", "--user", "alice"}).status, 0);
  EXPECT_EQ(inspect({"reset", "--yes", "--operation", "upload"}).status, 0);
  const json changes = json::parse(inspect({"history", "--json"}).out).at("changes");
  ASSERT_EQ(changes.size(), 4U);
  EXPECT_EQ(changes[0].at("key"), "reset operations.upload");
  EXPECT_EQ(changes[0].at("generation"), 4);
  EXPECT_THAT(changes[1].at("key").get<std::string>(), StartsWith("reset users.#")) << "not the name";
  EXPECT_EQ(changes[2].at("key"), "reset");

  const json back = json::parse(inspect({"rollback", "--json"}).out);
  EXPECT_EQ(back.at("changes").size(), 1U) << "the change before the resets";
  EXPECT_EQ(back.at("resets"), json({4, 3, 2}));
  EXPECT_EQ(limiter->config().operations.at("upload").shared.rates[0].count, 6U);
  const Ran nothing = inspect({"rollback"});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_THAT(nothing.err, HasSubstr("no change to take back: all of them were taken back already"));
  EXPECT_EQ(inspect({"reset", "--yes"}).status, 0);
  const Ran only_a_reset = inspect({"rollback", "5"});
  EXPECT_EQ(only_a_reset.status, 0) << only_a_reset.err;
  EXPECT_THAT(only_a_reset.out,
              AllOf(HasSubstr("generation 6 was a reset: what it forgot does not come back"),
                    HasSubstr("no changes")));
  EXPECT_EQ(inspect({"rollback", "99"}).status, 2);
}

TEST_F(ShmInspectChanges, AMisspeltOperationIsNotANewOne) {
  const Ran misspelt = inspect({"set", "operations.uplaod.rate", "60/min"});
  EXPECT_EQ(misspelt.status, 2);
  EXPECT_THAT(misspelt.err, AllOf(HasSubstr("did you mean \"upload\""), HasSubstr("--new")));
  EXPECT_FALSE(limiter->operation("uplaod"));
  EXPECT_EQ(inspect({"set", "operations.download.rate", "60/min", "--new"}).status, 0);
  EXPECT_TRUE(limiter->operation("download"));
}

TEST_F(ShmInspectChanges, StatusSaysThatAnotherConfigurationWasOpened) {
  EXPECT_TRUE(json::parse(inspect({"status", "--json"}).out).at("difference").is_null());
  Config edited = limiter->config();
  edited.operations.at("upload").shared.rates = {{60, std::chrono::minutes(1), 9}};
  ASSERT_TRUE(Limiter::open(edited));
  EXPECT_THAT(inspect({"status"}).out, AllOf(HasSubstr("opened this segment with another configuration"),
                                             HasSubstr("shm-inspect apply")));
  const json difference = json::parse(inspect({"status", "--json"}).out).at("difference");
  EXPECT_EQ(difference.at("values"), 1);
  EXPECT_EQ(difference.at("key"), "operations.upload.rate");
}

TEST_F(ShmInspectChanges, UsersShowsEveryNameThatTheSegmentHasRoomFor) {
  EXPECT_EQ(inspect({"set", "operations.upload.rate", "none"}).status, 0);
  for (int i = 0; i < 100; ++i) (void)limiter->admit("upload", {.user = "user-" + std::to_string(i)});
  const json users = json::parse(inspect({"users", "--top", "1000", "--json"}).out).at("users");
  EXPECT_GE(users.size(), 100U);
  for (const json& user : users) EXPECT_EQ(user.at("name"), "whole") << user;
}

TEST_F(ShmInspectChanges, UsersMarksANameThatWasCutAndShowsUtf8) {
  const std::string base = "Jürgen@" + std::string(39, 'x');
  (void)limiter->admit("upload",
                       {.user = base + "öffentlich"});  // the 48th byte is in the middle of a character
  (void)limiter->admit("upload", {.user = "山田"});
  const Ran text = inspect({"users"});
  EXPECT_THAT(text.out, AllOf(HasSubstr(base + "... (cut)"), HasSubstr("山田 ")));
  const json users = json::parse(inspect({"users", "--json"}).out).at("users");
  for (const json& user : users) {
    const std::string shown = user.at("user");
    EXPECT_EQ(user.at("name"), shown == "山田" ? "whole" : "cut") << shown;
  }
}

TEST_F(ShmInspectChanges, UsersShowsWhoIsNearestToALimitByName) {
  for (int i = 0; i < 2; ++i) (void)limiter->admit("upload", {.user = "alice\x1b[31m"});
  (void)limiter->admit("search", {.user = "bob"});
  const Ran ran = inspect({"users", "--top", "5"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("alice\\x1b[31m"), HasSubstr("operations.upload.user.rate"), HasSubstr("1/3")));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  const json users = json::parse(inspect({"users", "--by", "refused", "--json"}).out).at("users");
  EXPECT_TRUE(users.empty());
  EXPECT_EQ(inspect({"users", "--operation", "nope"}).status, 2);
}

TEST_F(ShmInspectChanges, UserShowsOneUnderEveryLimitHeldPermitsToo) {
  const Admission held = limiter->admit("upload", {.user = "carol"});
  ASSERT_TRUE(held);
  const json users = json::parse(inspect({"user", "carol", "--json"}).out).at("users");
  ASSERT_EQ(users.size(), 3U);
  EXPECT_EQ(users[0].at("limit"), "operations.upload.user.rate");
  EXPECT_EQ(users[0].at("available"), 2);
  EXPECT_EQ(users[1].at("limit"), "operations.upload.user.concurrent");
  EXPECT_EQ(users[1].at("permits"), 1);
  EXPECT_EQ(users[2].at("limit"), "operations.upload.user.cooldown");
}

TEST_F(ShmInspectChanges, StatusShowsWindowsCooldownsAndWhatOnlyCounts) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter->admit("search"));
  const json status = json::parse(inspect({"status", "--json"}).out);
  EXPECT_EQ(status.at("windows").at(0).at("available"), 97);
  EXPECT_EQ(status.at("cooldowns").at(0).at("per_user"), true);
  EXPECT_EQ(status.at("breakers").at(0).at("state"), "closed");
  bool found = false;
  for (const json& limit : status.at("shared_limits")) {
    if (limit.at("name") != "operations.search.rate.candidate") continue;
    found = true;
    EXPECT_EQ(limit.at("would_refuse"), 2);
    EXPECT_EQ(limit.at("mode"), "candidate");
  }
  EXPECT_TRUE(found);
  EXPECT_THAT(inspect({"status"}).out, AllOf(HasSubstr("WINDOWS"), HasSubstr("COOLDOWNS"),
                                             HasSubstr("BREAKERS"), HasSubstr("LIMITS THAT ONLY COUNT")));
}

}  // namespace
}  // namespace weir

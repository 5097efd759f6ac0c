// SPDX-License-Identifier: Apache-2.0

// What shm-inspect shows of a segment, as a table and as JSON.

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "segment/verify.hpp"
#include "tools/forged_header.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

TEST_F(ShmInspect, ShowsWhatIsLeftOfEachLimit) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  ASSERT_TRUE(limiter.admit("upload", {.user = "bob"}));
  const Ran ran = on_segment({"status"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("segment \"" + segment_.str() + "\"  layout "));
  EXPECT_THAT(ran.out,
              HasSubstr("operations.upload.rate   6/hour burst 2  0/2        [..........]  20min    -\n"));
  EXPECT_THAT(ran.out,
              HasSubstr("operations.search.rate   60/hour         60/60      [##########]  full     -\n"));
  EXPECT_THAT(ran.out, HasSubstr("operations.upload.user.rate  4/hour burst 1  2             2\n"));
  EXPECT_THAT(ran.out, HasSubstr("user table: 2 of "));
  EXPECT_THAT(ran.out, Not(HasSubstr("!!")));
}

TEST_F(ShmInspect, ShowsNoColoursInAFile) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice", .cost = 1}));
  EXPECT_THAT(on_segment({"status"}).out, Not(HasSubstr("\x1b")));
}

TEST_F(ShmInspect, WarnsLoudlyWhenUsersWereForgotten) {
  Config config = *parse_config("segment.users = 1\noperations.x.user.rate = '1/day'", "test");
  config.segment.name = segment_.str();
  Result<Limiter> limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  for (int user = 0; user < 100; ++user) (void)limiter->admit("x", {.user = std::to_string(user)});
  const json table = status().at("user_table");
  ASSERT_GT(table.at("evicted"), 0);
  EXPECT_THAT(on_segment({"status"}).out,
              HasSubstr("!! " + table.at("evicted").dump() +
                        " users were forgotten while they still owed something: raise segment.users\n"));
}

TEST_F(ShmInspect, SpeaksJson) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  const json all = status();
  EXPECT_EQ(all.at("segment"), segment_.str());
  EXPECT_THAT(all.at("created").get<std::string>(), MatchesRegex("[0-9]+-..-..T..:..:..Z"));
  EXPECT_EQ(all.at("operations").size(), 2U);
  EXPECT_EQ(all.at("operations").at(0).at("name"), "search");
  EXPECT_EQ(all.at("operations").at(1).at("name"), "upload");
  EXPECT_GT(all.at("bytes"), 0);

  const json upload = named(all.at("shared_limits"), "operations.upload.rate");
  EXPECT_EQ(upload.at("rate"), "6/hour burst 2");
  EXPECT_EQ(upload.at("count"), 6);
  EXPECT_EQ(upload.at("period_s"), 3600.0);
  EXPECT_EQ(upload.at("burst"), 2);
  EXPECT_EQ(upload.at("available"), 1);
  EXPECT_GT(upload.at("full_in_s"), 0.0);
  EXPECT_LE(upload.at("full_in_s"), 600.0);

  const json user = named(all.at("user_limits"), "operations.upload.user.rate");
  EXPECT_EQ(user.at("active"), 1);
  EXPECT_EQ(user.at("exhausted"), 1);
  EXPECT_EQ(all.at("user_table").at("occupied"), 1);
  EXPECT_EQ(all.at("user_table").at("when_full"), "evict");
}

TEST_F(ShmInspect, DocumentsEveryKeyOfItsJson) {
  const Limiter limiter = open();
  const std::string help = inspect({"status", "--help"}).out;
  const json all = status();
  const auto expect_documented = [&](const json& object) {
    for (const auto& [key, value] : object.items()) EXPECT_THAT(help, HasSubstr(key));
  };
  expect_documented(all);
  expect_documented(all.at("shared_limits").at(0));
  expect_documented(all.at("user_limits").at(0));
  expect_documented(all.at("user_table"));
}

TEST_F(ShmInspect, ThePageOfItsFieldsIsTheOneThatIsCommitted) {
  const Ran ran = inspect({"fields", "--markdown"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  std::ifstream page(WEIR_SOURCE_DIR "/docs/inspector.md");
  const std::string committed(std::istreambuf_iterator<char>(page), {});
  EXPECT_EQ(ran.out, committed) << "make it with: shm-inspect fields --markdown > docs/inspector.md";
}

// The lists describe other commands, too.
TEST_F(ShmInspect, SaysWhatEveryKeyOfEveryCommandMeans) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  ASSERT_EQ(on_segment({"set", "operations.search.rate", "61/hour"}).status, 0);
  const std::string text = inspect({"fields"}).out;
  const auto expect_described = [&](const json& value, const auto& self) -> void {
    for (const auto& [key, inner] : value.items()) {
      if (value.is_object()) {
        EXPECT_THAT(text, ContainsRegex("\n +" + key + " +[A-Za-z]")) << key;
      }
      if (inner.is_structured()) self(inner, self);
    }
  };
  const std::vector<std::vector<std::string>> commands{{"status"}, {"users"}, {"history"}, {"list"}};
  for (std::vector<std::string> command : commands) {
    command.emplace_back("--json");
    const Ran ran = on_segment(command);
    ASSERT_EQ(ran.status, 0) << ran.err;
    expect_described(json::parse(ran.out), expect_described);
  }
}

TEST_F(ShmInspect, PrintsNoControlCharacterOfASegment) {
  const Limiter limiter = open();
  forge_header(segment_, [](detail::Header& header) {
    std::strcpy(header.library_version.data(), "\x1b[2J\x9b\x7f");
    header.header_checksum = detail::header_checksum(header);
  });
  const Ran text = on_segment({"status"});
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("by weir \\x1b[2J\\x9b\\x7f\n"));
  const Ran as_json = on_segment({"status", "--json"});
  ASSERT_EQ(as_json.status, 0) << as_json.err;
  for (const char c : as_json.out) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << as_json.out;
}

TEST_F(ShmInspect, ListsTheSegmentsOfTheHostAndNamesThemWhereOneIsMissing) {
  const Limiter limiter = open();
  const Ran text = inspect({"list"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr(segment_.str() + " "));
  const json list = json::parse(inspect({"list", "--json"}).out).at("segments");
  const auto entry = std::find_if(list.begin(), list.end(),
                                  [&](const json& one) { return one.at("name") == segment_.str(); });
  ASSERT_NE(entry, list.end());
  EXPECT_EQ(entry->at("owner"), ::geteuid());
  EXPECT_EQ(entry->at("mode"), "0600");
  EXPECT_EQ(entry->at("workers"), 1);
  EXPECT_EQ(entry->at("problem"), "");
  const json all = status();
  for (const char* key : {"layout_version", "library_version", "uuid", "created"})
    EXPECT_EQ(entry->at(key), all.at(key));
  EXPECT_EQ(entry->at("bytes"), std::filesystem::file_size(segment_.path()));
  EXPECT_THAT(inspect({"--segment", segment_.str() + "x", "status"}).err,
              HasSubstr("; there are: " + segment_.str()));
}

}  // namespace
}  // namespace weir

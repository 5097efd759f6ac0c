// SPDX-License-Identifier: Apache-2.0

// shm-inspect record, play, diff: snapshots in files.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "support/terminal.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using test::Terminal;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ShmInspectRecording : public ShmInspect {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// A file of `status --json`.
  [[nodiscard]] std::string saved(const std::string& name) const {
    return write(name, on_segment({"status", "--json"}).out);
  }
  /// A recording with one line for each text.
  [[nodiscard]] std::string recording_of(const std::vector<std::string>& lines) const {
    std::string text = "{\"weir_recording\":1}\n";
    for (const std::string& line : lines) text += line + "\n";
    return write("made.jsonl", text);
  }
  [[nodiscard]] static std::string line(const std::string& time, std::uint64_t swept) {
    return "{\"time\":\"" + time +
           "\",\"status\":{\"segment\":\"x\",\"uuid\":\"u\",\"swept\":{\"workers\":" + std::to_string(swept) +
           "}}}";
  }
  [[nodiscard]] static json change(const json& difference, std::string_view list, std::string_view row,
                                   std::string_view key) {
    for (const json& one : difference.at("changes")) {
      if (one.at("list") == list && one.at("row") == row && one.at("key") == key) return one;
    }
    ADD_FAILURE() << "no change of " << key << " in " << difference.dump(2);
    return json::object();
  }
};

TEST_F(ShmInspectRecording, HasOneSnapshotALineAndIsPlayedBack) {
  const Limiter limiter = open();
  const std::string file = path("recorded.jsonl");
  const Ran ran = on_segment({"record", file, "--every", "0.1", "--for", "250ms"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, file + ": 3 snapshots\n");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U) << "names of users may be in it";
  std::istringstream lines(content(file));
  std::string text;
  std::getline(lines, text);
  EXPECT_EQ(json::parse(text).at("segment"), segment_.str());
  int count = 0;
  for (; std::getline(lines, text); ++count)
    EXPECT_EQ(json::parse(text).at("status").at("uuid"), status().at("uuid"));
  EXPECT_EQ(count, 3);

  ASSERT_TRUE(remove_segment(segment_.str()));
  const Ran last = inspect({"play", file});
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_THAT(last.out,
              AllOf(StartsWith("recorded 2"), HasSubstr(" (3 of 3)\n"), HasSubstr("operations.upload.rate"),
                    HasSubstr("2/2"), HasSubstr("\nswept: workers 0, ")));
  EXPECT_THAT(inspect({"play", file, "--at", "first"}).out, HasSubstr(" (1 of 3)\n"));
  const Ran all = inspect({"play", file, "--watch=0.1"});
  EXPECT_EQ(all.status, 0);
  for (const char* number : {" (1 of 3)\n", " (2 of 3)\n", " (3 of 3)\n"})
    EXPECT_THAT(all.out, HasSubstr(number));
  EXPECT_EQ(json::parse(inspect({"play", file, "--json"}).out).at("status").at("segment"), segment_.str());
}

TEST_F(ShmInspectRecording, GoesOnWhileTheSegmentIsAwayUntilCtrlC) {
  const std::string file = path("recorded.jsonl");
  std::optional<Limiter> limiter(open());
  Terminal terminal(
      {WEIR_BIN_DIR "/shm-inspect", "--segment", segment_.str(), "record", file, "--every", "0.1"});
  const auto has = [&](const char* text) {
    return terminal.wait_until(
        [&](const std::string&) { return content(file).find(text) != std::string::npos; });
  };
  ASSERT_TRUE(has("\"uuid\""));
  ASSERT_TRUE(remove_segment(segment_.str()));
  limiter.reset();
  ASSERT_TRUE(has("\"notice\":\"segment \\\""));
  terminal.type("\x03");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_THAT(terminal.output(), HasSubstr(" snapshots"));
  EXPECT_THAT(inspect({"play", file}).out, HasSubstr("no such segment"));
  EXPECT_EQ(inspect({"diff", file, file}).status, 0) << "the last snapshot before counts";
}

TEST_F(ShmInspectRecording, MakesNoFileOfASegmentThatIsNotThereAndOverwritesNone) {
  const std::string file = path("recorded.jsonl");
  EXPECT_EQ(on_segment({"record", file, "--for", "0"}).status, 3);
  EXPECT_FALSE(std::filesystem::exists(file));
  const Limiter limiter = open();
  ASSERT_EQ(write("recorded.jsonl", "precious"), file);
  const Ran ran = on_segment({"record", file, "--for", "0"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr(file + ": exists already; give the recording another name"));
  EXPECT_EQ(content(file), "precious");
}

TEST_F(ShmInspectRecording, FindsTheLastSnapshotThatIsNotLater) {
  const std::string file =
      recording_of({line("2026-01-31T23:59:00.000Z", 1), line("2026-01-31T23:59:30.500Z", 2),
                    line("2026-02-01T00:01:00.000Z", 3)});
  const std::vector<std::pair<const char*, const char*>> times{{"first", "(1 of 3)"},
                                                               {"last", "(3 of 3)"},
                                                               {"23:59", "(1 of 3)"},
                                                               {"23:59:30", "(1 of 3)"},
                                                               {"23:59:31", "(2 of 3)"},
                                                               {"00:00:59", "(2 of 3)"},
                                                               {"00:01", "(3 of 3)"},
                                                               {"+30s", "(1 of 3)"},
                                                               {"+31s", "(2 of 3)"},
                                                               {"-1s", "(2 of 3)"},
                                                               {"2026-01-31T23:59:30.500Z", "(2 of 3)"},
                                                               {"2027-01-01T00:00:00Z", "(3 of 3)"}};
  for (const auto& [time, shown] : times)
    EXPECT_THAT(inspect({"play", file, "--at", time}).out, HasSubstr(shown)) << time;
  for (const char* time : {"2026-01-31T23:58:00Z", "-1h", "soon", "25:61:99x", "+", "2026-01-31"})
    EXPECT_EQ(inspect({"play", file, "--at", time}).status, 2) << time;
}

TEST_F(ShmInspectRecording, ShowsTheRestOfADamagedFileAndSaysWhatIsWrong) {
  const std::string whole = recording_of(
      {line("2026-01-31T12:00:00.000Z", 1), "garbage \x1b[2J", line("2026-01-31T12:00:01.000Z", 2),
       "{\"time\":\"2026-01-31T12:00:02.000Z\",oh}", line("2026-01-31T12:00:03.000Z", 3)});
  const std::string file =
      write("cut.jsonl", content(whole) + "{\"time\":\"2026-01-31T12:00:04.000Z\",\"sta");
  const Ran ran = inspect({"play", file});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, HasSubstr("workers 3"));
  EXPECT_EQ(ran.err,
            "shm-inspect: " + file +
                ": 1 damaged lines are left out, the first is line 3; it ends within a line, which is left "
                "out\n");
  EXPECT_THAT(inspect({"play", file, "--at", "12:00:02"}).out, HasSubstr("this line of the file is damaged"));
  EXPECT_THAT(inspect({"diff", file + "@12:00:02", file, "--json"}).out, HasSubstr("\"difference\": 1"));
  EXPECT_EQ(inspect({"play", write("empty", "")}).status, 1);
  EXPECT_EQ(inspect({"play", write("other", "{\"a\": 1}\n")}).status, 1);
  EXPECT_EQ(inspect({"play", path("none")}).status, 1);
  EXPECT_EQ(inspect({"play", directory_}).status, 1);
}

// What stands in a file may be anything that is JSON.
TEST_F(ShmInspectRecording, IsSafeToShowWhateverItHolds) {
  const std::vector<std::string> values{
      "null", "-1", "1e308", "18446744073709551615", "\"\\u001b[2J\"", "[]", "{}", "[[[]]]", "true"};
  for (const std::string& value : values) {
    std::string status = "{";
    for (const char* key : {"segment", "uuid", "generation", "operations", "shared_limits", "breakers",
                            "user_table", "difference", "workers", "swept"})
      status += std::string(status.size() > 1 ? "," : "") + "\"" + key + "\":" + value;
    for (const std::string& rows :
         {"[" + value + "," + value + "]", "[{\"name\":" + value + ",\"available\":" + value +
                                               ",\"burst\":" + value + ",\"full_in_s\":" + value + "}]"})
      status += ",\"user_limits\":" + rows + ",\"windows\":" + rows + ",\"queues\":" + rows;
    const std::string one = "{\"time\":\"2026-01-31T12:00:00.000Z\",\"status\":" + status + "}}";
    const std::string file = recording_of({one, line("2026-01-31T12:00:01.000Z", 5), one});
    for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
             {"play", file}, {"diff", file + "@first", file + "@+1s"}, {"diff", file + "@+1s", file}}) {
      const Ran ran = inspect(command);
      EXPECT_EQ(ran.status, 0) << value << ": " << ran.err;
      EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
    }
  }
}

TEST_F(ShmInspectRecording, DiffShowsWhatChangedByTheKindOfEachValue) {
  Limiter limiter = open();
  const std::string before = saved("before.json");
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  ASSERT_TRUE(set_limit(segment_.str(), "operations.search.rate", "61/hour"));
  ASSERT_TRUE(set_limit(segment_.str(), "operations.search.concurrent", "5"));

  const Ran as_json = on_segment({"diff", before, "--json"});
  ASSERT_EQ(as_json.status, 0) << as_json.err;
  const json difference = json::parse(as_json.out);
  EXPECT_EQ(difference.at("replaced"), false);
  EXPECT_EQ(difference.at("from"),
            json::parse(content(before)).at("taken").get<std::string>().substr(0, 19) + ".000Z");
  const json generation = change(difference, "segment", "", "generation");
  EXPECT_EQ(generation.at("difference"), 2);
  EXPECT_EQ(generation.at("kind"), "counter");
  EXPECT_EQ(generation.at("from"), 0);
  const json available = change(difference, "shared_limits", "operations.upload.rate", "available");
  EXPECT_EQ(available.at("from"), 2);
  EXPECT_EQ(available.at("to"), 1);
  EXPECT_EQ(available.count("difference"), 0U);
  EXPECT_EQ(change(difference, "shared_limits", "operations.search.rate", "rate").at("to"), "61/hour");
  EXPECT_EQ(change(difference, "shared_permits", "operations.search.concurrent", "").at("to"), "there");

  const Ran text = on_segment({"diff", before, saved("after.json")});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, ContainsRegex("\nshared_limits +operations\\.upload\\.rate +available +2 +1\n"));
  EXPECT_THAT(text.out, ContainsRegex("\nsegment +generation +0 +2 +2"));
  EXPECT_THAT(text.out, Not(HasSubstr("full_in_s")));
  EXPECT_THAT(on_segment({"diff", before, before}).out, HasSubstr("\nnothing changed\n"));
}

TEST_F(ShmInspectRecording, DiffKnowsHowMuchACounterGrewASecondAndThatANewSegmentBeganWithNothing) {
  std::string file =
      recording_of({line("2026-01-31T12:00:00.000Z", 10), line("2026-01-31T12:00:04.500Z", 28)});
  json difference = json::parse(inspect({"diff", file + "@first", file, "--json"}).out);
  EXPECT_EQ(difference.at("seconds"), 4.5);
  json workers = change(difference, "swept", "", "workers");
  EXPECT_EQ(workers.at("difference"), 18);
  EXPECT_EQ(workers.at("per_second"), 4.0);
  difference = json::parse(inspect({"diff", file + "@last", file + "@first", "--json"}).out);
  EXPECT_EQ(change(difference, "swept", "", "workers").at("difference"), -18.0)
      << "the order is the caller's";

  std::string other = line("2026-01-31T12:00:09.000Z", 9);
  other.replace(other.find("\"u\""), 3, "\"v\"");
  file = recording_of({line("2026-01-31T12:00:00.000Z", 10), other});
  difference = json::parse(inspect({"diff", file + "@first", file, "--json"}).out);
  EXPECT_EQ(difference.at("replaced"), true);
  EXPECT_EQ(change(difference, "swept", "", "workers").at("difference"), 9);
  EXPECT_THAT(inspect({"diff", file + "@first", file}).out, HasSubstr("!! the segment was replaced"));
}

}  // namespace
}  // namespace weir

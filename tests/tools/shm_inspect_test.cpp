// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "segment/verify.hpp"
#include "support/process.hpp"
#include "support/segment_name.hpp"

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
using testing::Not;
using testing::StartsWith;

using Variables = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kConfig = R"(
[segment]
users = 1_000
[global]
rate = "1000/s"
[operations.upload]
rate = "6/hour burst 2"
user.rate = "4/hour burst 1"
[operations.search]
rate = "60/hour"
)";

/// Runs the tool with WEIR_SEGMENT empty, which is as good as unset.
Ran inspect(std::vector<std::string> arguments, const Variables& environment = {{"WEIR_SEGMENT", ""}}) {
  arguments.insert(arguments.begin(), WEIR_BIN_DIR "/shm-inspect");
  return test::run(std::move(arguments), {}, environment);
}

class ShmInspect : public testing::Test {
 protected:
  ShmInspect() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
  ~ShmInspect() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string write(const std::string& name, std::string_view text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  /// The tool, on this test's segment.
  [[nodiscard]] Ran on_segment(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--segment", segment_.str()});
    return inspect(std::move(arguments));
  }

  /// A limiter in this process, on a segment with the limits above.
  [[nodiscard]] Limiter open() const {
    Config config = *parse_config(kConfig, "test");
    config.segment.name = segment_.str();
    Result<Limiter> limiter = Limiter::open(config);
    EXPECT_TRUE(limiter) << limiter.error().message();
    return *std::move(limiter);
  }

  [[nodiscard]] json status() const {
    const Ran ran = on_segment({"status", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return json::parse(ran.out);
  }

  /// Changes the header of the segment behind the library's back.
  template <class Change>
  void forge(Change&& change) const {
    const int fd = ::open(segment_.path().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0) << segment_.path();
    detail::Header header;
    EXPECT_EQ(::pread(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    change(header);
    EXPECT_EQ(::pwrite(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    ::close(fd);
  }

  test::SegmentName segment_;
  std::string directory_ = testing::TempDir() + "weir-inspect-XXXXXX";
};

json named(const json& limits, std::string_view name) {
  for (const json& limit : limits) {
    if (limit.at("name") == name) return limit;
  }
  ADD_FAILURE() << "no limit " << name << " in " << limits.dump(2);
  return json::object();
}

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

TEST_F(ShmInspect, ShowsWhatIsLeftOfEachLimit) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  ASSERT_TRUE(limiter.admit("upload", {.user = "bob"}));
  const Ran ran = on_segment({"status"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("segment \"" + segment_.str() + "\"  layout "));
  EXPECT_THAT(ran.out,
              HasSubstr("operations.upload.rate   6/hour burst 2  0/2        [..........]  20min\n"));
  EXPECT_THAT(ran.out, HasSubstr("operations.search.rate   60/hour         60/60      [##########]  full\n"));
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
  EXPECT_EQ(all.at("operations"), json({"search", "upload"}));
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

class ShmInspectReset : public ShmInspect {
 protected:
  void SetUp() override {
    for (const char* user : {"alice", "bob"}) ASSERT_TRUE(limiter_.admit("upload", {.user = user}));
    ASSERT_TRUE(limiter_.admit("search"));
  }

  [[nodiscard]] bool upload_is_full() const { return is_full("operations.upload.rate"); }
  [[nodiscard]] bool search_is_full() const { return is_full("operations.search.rate"); }
  [[nodiscard]] int exhausted_users() const {
    return named(status().at("user_limits"), "operations.upload.user.rate").at("exhausted");
  }

  Limiter limiter_ = open();

 private:
  [[nodiscard]] bool is_full(std::string_view name) const {
    const json limit = named(status().at("shared_limits"), name);
    return limit.at("available") == limit.at("burst");
  }
};

TEST_F(ShmInspectReset, GivesEverybodyEverythingBack) {
  const Ran ran = on_segment({"reset"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "segment \"" + segment_.str() + "\": reset 3 shared limits and 2 entries of users\n");
  EXPECT_TRUE(upload_is_full());
  EXPECT_TRUE(search_is_full());
  EXPECT_EQ(exhausted_users(), 0);
}

TEST_F(ShmInspectReset, OfAnOperationLeavesTheOthers) {
  const Ran ran = on_segment({"reset", "--operation", "upload"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_TRUE(upload_is_full());
  EXPECT_FALSE(search_is_full());
  EXPECT_EQ(exhausted_users(), 0);
}

TEST_F(ShmInspectReset, OfAUserLeavesTheOthersAndTheSharedLimits) {
  const Ran ran = on_segment({"reset", "--user", "alice"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_FALSE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 1);
}

TEST_F(ShmInspectReset, RefusesAnOperationTogetherWithAUser) {
  const Ran ran = on_segment({"reset", "--operation", "upload", "--user", "alice"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--operation and --user together; give one of them"));
  EXPECT_FALSE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 2);
}

TEST_F(ShmInspectReset, NamesTheOperationThatWasMeant) {
  const Ran ran = on_segment({"reset", "--operation", "uplaod"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean \"upload\"?"));
}

TEST_F(ShmInspect, RemovesTheSegment) {
  const Limiter limiter = open();
  const Ran ran = on_segment({"remove"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "segment \"" + segment_.str() + "\": removed\n");
  EXPECT_FALSE(std::filesystem::exists(segment_.path()));
}

TEST_F(ShmInspect, SaysByItsStatusThatThereIsNoSegment) {
  for (const char* command : {"status", "reset", "remove"}) {
    const Ran ran = on_segment({command});
    EXPECT_EQ(ran.status, 3) << command;
    EXPECT_THAT(ran.err, StartsWith("shm-inspect: segment \"" + segment_.str() + "\": no such segment; "))
        << command;
    EXPECT_THAT(ran.out, IsEmpty()) << command;
  }
}

TEST_F(ShmInspect, SaysByItsStatusThatTheLayoutIsAnother) {
  const Limiter limiter = open();
  forge([](detail::Header& header) { header.layout_version += 1; });
  const Ran ran = on_segment({"status"});
  EXPECT_EQ(ran.status, 4) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("inspect it with a newer weir"));
}

TEST_F(ShmInspect, SaysByItsStatusThatTheSegmentIsDamaged) {
  const Limiter limiter = open();
  forge([](detail::Header& header) { header.total_bytes += 1; });
  for (const char* command : {"status", "reset"}) EXPECT_EQ(on_segment({command}).status, 5) << command;
}

TEST_F(ShmInspect, LeavesAForeignFileAlone) {
  std::ofstream(segment_.path()) << std::string(8'192, 'x');
  EXPECT_EQ(::chmod(segment_.path().c_str(), 0600), 0);
  const Ran ran = on_segment({"status"});
  std::filesystem::remove(segment_.path());
  EXPECT_EQ(ran.status, 1) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("not a weir segment"));
}

TEST_F(ShmInspect, PrintsNoControlCharacterOfASegment) {
  const Limiter limiter = open();
  forge([](detail::Header& header) {
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

TEST_F(ShmInspect, PrintsNoControlCharacterOfItsArguments) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"status", "\x1b[2J"},
                                             {"check", "\x1b[2J.toml"},
                                             {"--segment", "\x1b[2J", "status"},
                                             {"--\x1b[2J"}}) {
    const Ran ran = inspect(arguments);
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_THAT(ran.err, Not(HasSubstr("\x1b")));
  }
}

TEST_F(ShmInspect, AnswersAWrongCommandLineWithTheUsageStatus) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"frobnicate"},
                                             {"create"},
                                             {"status", "--jsno"},
                                             {"status", "extra"},
                                             {"reset", "--user"},
                                             {"--segment", "no/slash", "status"}}) {
    const Ran ran = inspect(arguments);
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_THAT(ran.err, AllOf(StartsWith("shm-inspect: "), EndsWith("\n")));
    EXPECT_THAT(ran.out, IsEmpty());
  }
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

TEST_F(ShmInspect, NamesTheNearestCommand) {
  EXPECT_EQ(inspect({"stauts"}).err, "shm-inspect: unknown command \"stauts\"; did you mean \"status\"?\n");
  EXPECT_EQ(inspect({"--segment", "set", "histroy"}).err,
            "shm-inspect: unknown command \"histroy\"; did you mean \"history\"?\n");
  EXPECT_EQ(inspect({"frobnicate"}).err,
            "shm-inspect: unknown command \"frobnicate\"; see shm-inspect --help\n");
}

TEST_F(ShmInspect, NamesTheOrdersOfUsers) {
  const Ran ran = on_segment({"users", "--by", "nosuch"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "shm-inspect: --by: unknown order \"nosuch\"; use refused, nearest-limit or permits\n");
}

TEST_F(ShmInspect, TakesAnEmptyNameForAVariableThatIsNotSet) {
  const Limiter limiter = open();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"user", ""},
                                             {"reset", "--user", ""},
                                             {"reset", "--user="},
                                             {"reset", "--operation", ""},
                                             {"users", "--operation", ""},
                                             {"check", ""},
                                             {"check", "--segment=", "builtin"},
                                             {"status", "--segment", ""}}) {
    const Ran ran = on_segment(arguments);
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("is a variable not set?"));
  }
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
  EXPECT_EQ(entry->at("bytes"), std::filesystem::file_size(segment_.path()));
  EXPECT_THAT(inspect({"--segment", segment_.str() + "x", "status"}).err,
              HasSubstr("; there are: " + segment_.str()));
}

TEST_F(ShmInspect, TellsASegmentOfAnotherLayoutByItsStatus) {
  const std::string old = "/dev/shm/weir.v1." + segment_.str();
  std::ofstream(old) << "of another version";
  for (const char* command : {"status", "users", "history", "workers", "reap", "reset", "remove"}) {
    const Ran ran = on_segment({command});
    EXPECT_EQ(ran.status, 4) << command << ": " << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("layout version 1"));
  }
  std::filesystem::remove(old);
}

TEST_F(ShmInspect, AnUnknownOperationIsNotAMissingSegment) {
  const Limiter limiter = open();
  EXPECT_EQ(on_segment({"users", "--operation", "nosuch"}).status, 2);
  EXPECT_EQ(on_segment({"reset", "--operation", "nosuch"}).status, 2);
  EXPECT_EQ(on_segment({"set", "operations.nosuch.breaker.state", "forced_open"}).status, 2);
  EXPECT_EQ(on_segment({"rollback"}).status, 1);
}

TEST_F(ShmInspect, KeepsItsStatusWhateverBecomesOfItsMessages) {
  const auto status_under = [&](const std::string& redirection, const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"sh", "-c", "exec \"$0\" \"$@\" " + redirection,
                                    WEIR_BIN_DIR "/shm-inspect"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return test::run(all).status;
  };
  const Limiter limiter = open();
  const std::string missing = segment_.str() + "-missing";
  for (const std::string redirection : {"2>&-", "2>/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full"}) {
    EXPECT_EQ(status_under(redirection, {"--segment", missing, "status"}), 3) << redirection;
    EXPECT_EQ(status_under(redirection, {"--segment", segment_.str(), "stauts"}), 2) << redirection;
  }
  for (const std::string redirection : {">&-", ">/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full"}) {
    EXPECT_EQ(status_under(redirection, {"--segment", segment_.str(), "status"}), 1) << redirection;
    EXPECT_EQ(status_under(redirection, {"list"}), 1) << redirection;
    EXPECT_EQ(status_under(redirection, {"--help"}), 1) << redirection;
  }
  EXPECT_EQ(on_segment({"status"}).status, 0) << "nothing was written into the segment";
}

TEST_F(ShmInspect, DoesNotTakeAFullDiskForSuccess) {
  const Limiter limiter = open();
  const Ran ran = test::run({"sh", "-c", "exec \"$0\" \"$@\" >/dev/full", WEIR_BIN_DIR "/shm-inspect",
                             "--segment", segment_.str(), "status"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("standard output: No space left on device"));
}

}  // namespace
}  // namespace weir

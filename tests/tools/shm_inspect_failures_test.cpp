// SPDX-License-Identifier: Apache-2.0

// How shm-inspect fails: its exit statuses and messages.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "tools/forged_header.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using test::Ran;
using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

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
  forge_header(segment_, [](detail::Header& header) { header.layout_version += 1; });
  const Ran ran = on_segment({"status"});
  EXPECT_EQ(ran.status, 4) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("inspect it with a newer weir"));
}

TEST_F(ShmInspect, SaysByItsStatusThatTheSegmentIsDamaged) {
  const Limiter limiter = open();
  forge_header(segment_, [](detail::Header& header) { header.total_bytes += 1; });
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

TEST_F(ShmInspect, TellsASegmentOfAnotherLayoutByItsStatus) {
  const std::string old = "/dev/shm/weir.v1." + segment_.str();
  std::ofstream(old) << "of another version";
  const auto expect_hint = [&](const std::string& tool) {
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"status"},
                                               {"users"},
                                               {"user", "alice"},
                                               {"history"},
                                               {"workers"},
                                               {"reap"},
                                               {"reset"},
                                               {"remove", "--yes"}}) {
      const Ran ran = on_segment(command);
      EXPECT_EQ(ran.status, 4) << command[0] << ": " << ran.err;
      EXPECT_THAT(ran.err,
                  AllOf(HasSubstr("layout version 1"), HasSubstr("the shm-inspect of " + tool + ";")));
    }
    EXPECT_THAT(
        inspect({"list"}).out,
        ContainsRegex(segment_.str() + " +1 .*another layout; look at it with the shm-inspect of " + tool));
  };
  expect_hint("its own version");
  detail::Header header;
  header.magic = detail::kMagic;
  header.layout_version = 1;
  std::strcpy(header.library_version.data(), "0.0.9");
  std::ofstream(old, std::ios::binary).write(reinterpret_cast<const char*>(&header), sizeof header);
  expect_hint("weir 0.0.9");
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

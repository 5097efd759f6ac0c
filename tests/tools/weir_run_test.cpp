// SPDX-License-Identifier: Apache-2.0

// weir-run as cron and a shell meet it: refusals, exit statuses and messages.

#include "tools/weir_run.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "support/fork.hpp"
#include "tools/forged_header.hpp"

namespace weir {
namespace {

using test::Ran;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

TEST_F(WeirRun, TakesTheSegmentFromTheEnvironmentToo) {
  const Variables environment = {{"WEIR_SEGMENT", segment_.str()}};
  EXPECT_EQ(weir_run({"--operation", "free", "--", "sh", "-c", "exit 9"}, environment).status, 9);
}

TEST_F(WeirRun, RefusesOverTheRateByNameAndStartsNothing) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  const Ran refused = weir_run(under("backup") + Arguments{"touch", path("started")});
  EXPECT_EQ(refused.status, 75);
  EXPECT_THAT(refused.err, MatchesRegex("weir-run: operation \"backup\": throttled by "
                                        "operations\\.backup\\.rate; retry after [0-9.]+[a-z]+\n"));
  EXPECT_FALSE(std::filesystem::exists(path("started")));
}

TEST_F(WeirRun, RefusesWithTheStatusThatWasAskedFor) {
  EXPECT_EQ(weir_run(under("backup", {"--status", "42"}) + Arguments{"true"}).status, 0);
  EXPECT_EQ(weir_run(under("backup", {"--status", "42"}) + Arguments{"true"}).status, 42);
}

TEST_F(WeirRun, LimitsEachUserAlone) {
  EXPECT_EQ(weir_run(under("export", {"--user", "ann"}) + Arguments{"true"}).status, 0);
  const Ran again = weir_run(under("export", {"--user", "ann"}) + Arguments{"true"});
  EXPECT_EQ(again.status, 75);
  EXPECT_THAT(again.err, HasSubstr("throttled by operations.export.user.rate;"));
  EXPECT_EQ(weir_run(under("export", {"--user", "bob"}) + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, SpendsTheCostItIsGiven) {
  EXPECT_EQ(weir_run(under("bulk", {"--cost", "4"}) + Arguments{"true"}).status, 0);
  EXPECT_EQ(weir_run(under("bulk", {"--cost", "2"}) + Arguments{"true"}).status, 75);
  EXPECT_EQ(weir_run(under("bulk") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, SaysWhenNoWaitHelps) {
  const Ran costly = weir_run(under("bulk", {"--cost", "6"}) + Arguments{"true"});
  EXPECT_EQ(costly.status, 65);
  EXPECT_EQ(
      costly.err,
      "weir-run: operation \"bulk\": it asks for more than operations.bulk.rate ever allows; lower --cost "
      "or --weight, or raise the limit\n");
  const Ran heavy = weir_run(under("heavy", {"--weight", "3"}) + Arguments{"true"});
  EXPECT_EQ(heavy.status, 65);
  EXPECT_EQ(weir_run(under("heavy", {"--weight", "3", "--status", "42"}) + Arguments{"true"}).status, 65);
  EXPECT_THAT(heavy.err, HasSubstr("more than operations.heavy.concurrent ever allows"));
}

TEST_F(WeirRun, KeepsItsStatusWhateverBecomesOfItsMessages) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  for (const std::string redirection : {"2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"}) {
    EXPECT_EQ(status_under(redirection, under("backup") + Arguments{"true"}), 75) << redirection;
    EXPECT_EQ(status_under(redirection, under("bakcup") + Arguments{"true"}), 2) << redirection;
    EXPECT_EQ(status_under(redirection, {"--segment", "no-such-segment", "--operation", "x", "--", "true"}),
              3);
    EXPECT_EQ(status_under(redirection, under("free") + Arguments{"no-such-command-here"}), 127)
        << redirection;
    EXPECT_EQ(status_under(redirection, under("free") + Arguments{"sh", "-c", "exit 5"}), 5) << redirection;
    EXPECT_EQ(status_under(redirection, {"--nonsense"}), 2) << redirection;
    EXPECT_TRUE(Limiter::attach(segment_.str())) << redirection;
  }
}

TEST_F(WeirRun, KeepsItsStatusWhenTheReaderOfItsMessagesIsGone) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  int gone[2];
  ASSERT_EQ(::pipe(gone), 0);
  ::close(gone[0]);
  EXPECT_EQ(test::in_child([&] {
              ::dup2(gone[1], STDERR_FILENO);
              std::vector<std::string> arguments =
                  Arguments{WEIR_BIN_DIR "/weir-run"} + under("backup") + Arguments{"true"};
              ::execv(arguments[0].c_str(), test::exec_array(arguments).data());
              return 99;
            }),
            75);
  ::close(gone[1]);
}

TEST_F(WeirRun, SaysThatItsHelpCannotBeWritten) {
  for (const std::string option : {"--help", "--version"}) {
    EXPECT_EQ(status_under(">/dev/full", {option}), 1) << option;
    EXPECT_EQ(status_under(">&-", {option}), 1) << option;
  }
}

TEST_F(WeirRun, TakesAnEmptyNameForAVariableThatIsNotSet) {
  const Arguments cases[] = {under("export", {"--user", ""}),
                             under("export", {"--user="}),
                             under(""),
                             {"--segment", "", "--operation", "job", "--"},
                             {"--config", "", "--operation", "job", "--"}};
  for (const Arguments& arguments : cases) {
    const Ran ran = weir_run(arguments + Arguments{"touch", path("started")});
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(ran.err, HasSubstr("is a variable not set?"));
  }
  EXPECT_FALSE(std::filesystem::exists(path("started")));
}

TEST_F(WeirRun, TellsTheBreakerOfFailuresAndIsRefusedWhileItIsOpen) {
  for (int i = 0; i < 2; ++i) EXPECT_EQ(weir_run(under("call") + Arguments{"false"}).status, 1);
  const Ran refused = weir_run(under("call") + Arguments{"true"});
  EXPECT_EQ(refused.status, 75);
  EXPECT_THAT(refused.err, HasSubstr("operations.call.breaker is open after failures; retry after "));
  ASSERT_TRUE(switch_breaker(segment_.str(), "call", BreakerSwitch::forced_open));
  EXPECT_THAT(
      weir_run(under("call") + Arguments{"true"}).err,
      HasSubstr("operations.call.breaker is held open by an operator; retry when it is switched back"));
  ASSERT_TRUE(switch_breaker(segment_.str(), "call", BreakerSwitch::automatic));
  EXPECT_EQ(weir_run(under("call") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, NamesTheNearestOperation) {
  const Ran ran = weir_run(under("bakcup") + Arguments{"true"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err,
              AllOf(StartsWith("weir-run: operation \"bakcup\": "), EndsWith("did you mean \"backup\"?\n")));
}

TEST_F(WeirRun, SaysThatThereIsNoSuchSegment) {
  const test::SegmentName missing;
  const Ran ran = weir_run({"--segment", missing.str(), "--operation", "job", "--", "true"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, StartsWith("weir-run: segment \"" + missing.str() + "\": "));
}

TEST_F(WeirRun, SaysByItsStatusThatTheLayoutIsAnother) {
  forge_header(segment_, [](detail::Header& header) { header.layout_version += 1; });
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 4);
}

TEST_F(WeirRun, SaysByItsStatusThatTheSegmentIsDamaged) {
  forge_header(segment_, [](detail::Header& header) { header.total_bytes += 1; });
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 5);
}

TEST_F(WeirRun, RefusesAFileThatIsNoSegmentAsSuch) {
  const test::SegmentName other;
  std::ofstream(other.path()) << "something else";
  const Ran ran = weir_run({"--segment", other.str(), "--operation", "job", "--", "true"});
  std::filesystem::remove(other.path());
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr(other.str()));
}

TEST_F(WeirRun, CreatesTheSegmentOfAConfigurationOnceAndKeepsIt) {
  const test::SegmentName name;
  std::ofstream(path("jobs.toml")) << "[segment]\nusers = 1_000\n[operations.sync]\nrate = \"1/day\"\n";
  const Arguments sync = {"--config", path("jobs.toml"), "--segment", name.str(), "--operation", "sync", "--",
                          "true"};
  EXPECT_EQ(weir_run(sync).status, 0);
  EXPECT_TRUE(Limiter::attach(name.str()));
  const Ran again = weir_run(sync);
  EXPECT_EQ(again.status, 75);
  EXPECT_THAT(again.err, HasSubstr("throttled by operations.sync.rate; retry after "));
}

TEST_F(WeirRun, TellsAMissingConfigurationFromAMissingSegment) {
  const Ran ran = weir_run({"--config", path("missing.toml"), "--operation", "sync", "--", "true"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("missing.toml"));
}

TEST_F(WeirRun, RefusesAWrongCommandLineInOneLine) {
  const Arguments wrong[] = {
      {"--operation", "job", "--", "true"},         // no segment
      {"--segment", segment_.str(), "--", "true"},  // no operation
      under("job", {"--status", "0"}) + Arguments{"true"},
      under("job", {"--status", "256"}) + Arguments{"true"},
      under("job", {"--cost", "0"}) + Arguments{"true"},
      under("job", {"--cost", "-1"}) + Arguments{"true"},
      under("job", {"--weight", "4294967296"}) + Arguments{"true"},
      under("job", {"--wait", "soon"}) + Arguments{"true"},
      under("job", {"--priority", "0"}) + Arguments{"true"},
      under("job", {"--priority", "6"}) + Arguments{"true"},
      under("job", {"--wait-for-rate"}) + Arguments{"true"},
      under("job", {"--nonsense"}) + Arguments{"true"},
      under("job"),  // no command
      {"--segment", segment_.str(), "--operation", "job"},
      {"--segment", segment_.str(), "--operation", "job", "true"},
  };
  for (const Arguments& arguments : wrong) {
    const Ran ran = weir_run(arguments);
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(ran.err, MatchesRegex("weir-run: [^\n]+\n"));
  }
}

TEST_F(WeirRun, ExplainsItself) {
  const Ran help = weir_run({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out,
              AllOf(HasSubstr("-- COMMAND ARGS..."), HasSubstr("In a crontab"), HasSubstr("--status")));
  EXPECT_THAT(help.err, IsEmpty());
}

}  // namespace
}  // namespace weir

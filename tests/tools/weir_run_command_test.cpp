// SPDX-License-Identifier: Apache-2.0

// The command of weir-run: how it is started, what it holds, and how it ends.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "weir/clock.hpp"
#include "weir/inspect.hpp"

#include "tools/weir_run.hpp"

namespace weir {
namespace {

using test::Ran;

TEST_F(WeirRun, PassesTheExitStatusAndTheOutputOn) {
  const Ran ran = weir_run(under("free") + Arguments{"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, TellsASignalThatEndedTheCommandAsAShellDoes) {
  EXPECT_EQ(weir_run(under("free") + Arguments{"sh", "-c", "kill -9 $$"}).status, 128 + SIGKILL);
}

TEST_F(WeirRun, HandsTheArgumentsOverAsTheyAre) {
  const Ran ran = weir_run(under("free") + Arguments{"printf", "<%s>", "[a,b]", "", "--", "--cost", "x y"});
  EXPECT_EQ(ran.out, "<[a,b]><><--><--cost><x y>");
}

TEST_F(WeirRun, TellsAFolderThatMayNotBeSearchedFromACommandThatMayNotBeRun) {
  std::filesystem::create_directory(path("closed"));
  std::filesystem::create_directory(path("open"));
  std::ofstream(path("open/plain")) << "no program";
  std::filesystem::permissions(path("closed"), std::filesystem::perms::none);
  const Variables environment = {{"PATH", path("closed") + ":" + path("open") + ":/usr/bin:/bin"}};
  EXPECT_EQ(weir_run(under("free") + Arguments{"no-such-command-here"}, environment).status, 127);
  EXPECT_EQ(weir_run(under("free") + Arguments{"plain"}, environment).status, 126);
  EXPECT_EQ(weir_run(under("free") + Arguments{path("open")}, environment).status, 126);
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}, environment).status, 0);
  std::filesystem::permissions(path("closed"), std::filesystem::perms::owner_all);
}

TEST_F(WeirRun, HoldsItsPermitAsLongAsTheCommandRuns) {
  Job first(under("job") + Arguments{"cat"});
  ASSERT_EQ(first.echo("hello"), "hello");

  const Ran second = weir_run(under("job") + Arguments{"touch", path("started")});
  EXPECT_EQ(second.status, 75);
  EXPECT_EQ(
      second.err,
      "weir-run: operation \"job\": no permit is free (operations.job.concurrent); retry when another job "
      "has finished\n");
  EXPECT_FALSE(std::filesystem::exists(path("started")));

  EXPECT_EQ(first.finish(), 0);
  Job third(under("job") + Arguments{"cat"});
  EXPECT_EQ(third.echo("hello"), "hello");
}

TEST_F(WeirRun, WaitsForThePermitOfAnotherJob) {
  Job first(under("line") + Arguments{"cat"});
  ASSERT_EQ(first.echo("hello"), "hello");
  Job second(under("line", {"--wait", "30s"}) + Arguments{"cat"});
  const auto waiting = [&] {
    const auto snapshot = take_snapshot(segment_.str());
    return snapshot && snapshot->waiters.size() == 1;
  };
  for (const auto end = HostClock::now() + std::chrono::seconds(20); !waiting();)
    ASSERT_LT(HostClock::now(), end);
  EXPECT_EQ(first.finish(), 0);
  EXPECT_EQ(second.echo("hello"), "hello");
}

TEST_F(WeirRun, WaitsNoLongerThanItWasTold) {
  Job first(under("line") + Arguments{"cat"});
  ASSERT_EQ(first.echo("hello"), "hello");
  const Ran second = weir_run(under("line", {"--wait", "20ms"}) + Arguments{"true"});
  EXPECT_EQ(second.status, 75);
  EXPECT_THAT(second.err, testing::MatchesRegex("weir-run: operation \"line\": no permit is free "
                                                "\\(operations\\.line\\.concurrent\\) after [0-9.]+ms; retry "
                                                "later, or with a longer --wait and timeout\n"));
}

TEST_F(WeirRun, SaysThatThereIsNoSeatToWaitIn) {
  Job first(under("job") + Arguments{"cat"});
  ASSERT_EQ(first.echo("hello"), "hello");
  const Ran second = weir_run(under("job", {"--wait", "20s"}) + Arguments{"true"});
  EXPECT_EQ(second.status, 75);
  EXPECT_THAT(second.err, testing::HasSubstr("its queue has no seat, or it has no queue"));
}

TEST_F(WeirRun, WaitsForARateIfItIsTold) {
  EXPECT_EQ(weir_run(under("slow") + Arguments{"true"}).status, 0);
  EXPECT_EQ(weir_run(under("slow", {"--wait", "20s", "--wait-for-rate"}) + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, HoldsAsManyPermitsAsItsWeight) {
  Job both(under("heavy", {"--weight", "2"}) + Arguments{"cat"});
  ASSERT_EQ(both.echo("hello"), "hello");
  EXPECT_EQ(weir_run(under("heavy") + Arguments{"true"}).status, 75);
}

TEST_F(WeirRun, KilledTakesTheCommandWithItAndLeavesThePermitToTheNext) {
  Job job(under("job") + Arguments{"cat"});
  ASSERT_EQ(job.echo("hello"), "hello");
  job.signal(SIGKILL);
  EXPECT_TRUE(job.all_gone());
  (void)job.wait();
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, DetachedLetsTheCommandOutliveItButNotItsPermit) {
  Job job(under("job", {"--detach-on-kill"}) + Arguments{"cat"});
  ASSERT_EQ(job.echo("hello"), "hello");
  job.signal(SIGKILL);
  (void)job.wait();
  EXPECT_EQ(job.echo("still here"), "still here");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
  job.end_input();
  EXPECT_TRUE(job.all_gone());
}

TEST_F(WeirRun, PassesSignalsOnAndOutlivesThem) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM}) {
    Job job(under("job") + Arguments{"cat"});
    ASSERT_EQ(job.echo("hello"), "hello");
    job.signal(number);
    ASSERT_TRUE(job.all_gone()) << "signal " << number;
    const int status = job.wait();
    ASSERT_TRUE(WIFEXITED(status)) << "weir-run died of the signal itself: " << number;
    EXPECT_EQ(WEXITSTATUS(status), 128 + number);
  }
}

TEST_F(WeirRun, WaitsForACommandThatCleansUpAfterASignal) {
  Job job(under("job") +
          Arguments{"sh", "-c", "trap 'echo cleaning; read end; exit 7' TERM; echo ready; read wait"});
  ASSERT_EQ(job.line(), "ready");
  job.signal(SIGTERM);
  EXPECT_EQ(job.line(), "cleaning");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 75);
  EXPECT_EQ(job.finish(), 7);
}

TEST_F(WeirRun, StartsTheCommandWithTheSignalsAndDescriptorsItWasStartedWith) {
  const Arguments signals = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"};
  EXPECT_EQ(weir_run(under("job") + signals).out, test::run(signals).out);
  const Arguments descriptors = {"ls", "/proc/self/fd"};
  EXPECT_EQ(weir_run(under("job") + descriptors).out, test::run(descriptors).out);
}

TEST_F(WeirRun, KnowsTheStatusEvenWhereItsCallerIgnoresItsChildren) {
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  Job job(under("free") + Arguments{"sh", "-c", "echo ready; read wait; exit 6"});
  ::sigaction(SIGCHLD, &before, nullptr);
  EXPECT_EQ(job.line(), "ready");
  EXPECT_EQ(job.finish(), 6);
}

TEST_F(WeirRun, SaysThatThereIsNoSuchCommandAndGivesThePermitBack) {
  const Ran missing = weir_run(under("job") + Arguments{"no-such-command-here"});
  EXPECT_EQ(missing.status, 127);
  EXPECT_EQ(missing.err, "weir-run: command \"no-such-command-here\": No such file or directory\n");
  const Ran plain = weir_run(under("job") + Arguments{"/dev/null"});
  EXPECT_EQ(plain.status, 126);
  EXPECT_EQ(plain.err, "weir-run: command \"/dev/null\": Permission denied\n");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
}

}  // namespace
}  // namespace weir

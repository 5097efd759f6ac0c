// SPDX-License-Identifier: Apache-2.0

// Chaos itself: it kills as often as asked, reports what workers found wrong, and leaves no process behind.

#include "support/chaos.hpp"

#include <array>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "support/child.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool has_children() {
  return ::waitpid(-1, nullptr, WNOHANG) == 0;
}

void wait_for(const std::atomic<bool>& stop) {
  while (!stop) std::this_thread::sleep_for(100us);
}

TEST(Chaos, KillsAndRestartsAsOftenAsAskedAndEndsWithAllFinished) {
  struct Seen {
    std::array<std::atomic<int>, 3> begun;
    std::array<std::atomic<int>, 3> finished;
  };
  SharedObject<Seen> seen;
  int told = 0;
  const ChaosReport report = run_chaos({.workers = 3, .kills = 60, .after_kill = [&](int) { ++told; }},
                                       [&](int worker, const std::atomic<bool>& stop) {
                                         ++seen->begun[static_cast<std::size_t>(worker)];
                                         wait_for(stop);
                                         ++seen->finished[static_cast<std::size_t>(worker)];
                                       });
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_EQ(report.kills, 60);
  EXPECT_EQ(report.starts, 63);
  EXPECT_EQ(told, 60);
  EXPECT_GT(report.stops, 0);
  for (const auto& begun : seen->begun) EXPECT_GT(begun, 1);
  for (const auto& finished : seen->finished) EXPECT_EQ(finished, 1);
  EXPECT_FALSE(has_children());
}

TEST(Chaos, WorkersThatAreStoppedAtTheEndContinueAndFinish) {
  const ChaosReport report = run_chaos({.workers = 8, .kills = 1, .stop_share = 1},
                                       [](int, const std::atomic<bool>& stop) { wait_for(stop); });
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.stops, report.kills);
}

TEST(Chaos, HitsWorkersInTheMiddleOfTheirWork) {
  struct TwoWords {
    std::atomic<std::uint64_t> first;
    std::atomic<std::uint64_t> second;
  };
  SharedObject<TwoWords> words;
  int torn = 0;
  const auto count_torn = [&](int) {
    torn += words->first != words->second ? 1 : 0;
    words->second = words->first.load();
  };
  const ChaosReport report =
      run_chaos({.workers = 1, .kills = 200, .stop_share = 0, .after_kill = count_torn},
                [&](int, const std::atomic<bool>& stop) {
                  while (!stop) {
                    ++words->first;
                    ++words->second;
                  }
                });
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(torn, 0);
}

TEST(Chaos, ReportsWhatAWorkerFoundWrong) {
  const ChaosReport report = run_chaos({.workers = 2, .kills = 0},
                                       [](int worker, const std::atomic<bool>&) { EXPECT_EQ(worker, 0); });
  EXPECT_THAT(report.failures, ElementsAre(AllOf(HasSubstr("worker 1: "), HasSubstr("chaos_test.cpp"))));
}

TEST(Chaos, AWorkerThatEndsByItselfIsAFailure) {
  const auto run = [](const Work& work) { return run_chaos({.workers = 1, .kills = 1'000}, work).failures; };
  EXPECT_THAT(run([](int, const std::atomic<bool>&) { ::raise(SIGTERM); }),
              Contains(HasSubstr("Terminated")));
  EXPECT_THAT(run([](int, const std::atomic<bool>&) {}), Contains(HasSubstr("although it was not told to")));
}

TEST(Chaos, AWorkerThatDoesNotReturnIsNamedAndKilled) {
  const ChaosReport report =
      run_chaos({.workers = 2, .kills = 0, .finish = 100ms}, [](int, const std::atomic<bool>&) {
        for (;;) ::pause();
      });
  EXPECT_THAT(report.failures, ElementsAre(HasSubstr("worker 0: did not return within 100 ms"),
                                           HasSubstr("worker 1: did not return")));
  EXPECT_FALSE(has_children());
}

TEST(Chaos, WorkersDieWithTheTestThatStartedThem) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  SharedObject<std::atomic<int>> begun;
  Child test([&] {
    run_chaos({.workers = 2, .kills = 1'000'000, .stop_share = 0.5}, [&](int, const std::atomic<bool>&) {
      ++*begun;
      for (;;) ::pause();
    });
  });
  ::close(ends[1]);  // now only the test and its workers hold the pipe open
  while (*begun < 10) std::this_thread::sleep_for(1ms);
  test.kill();
  pollfd end{.fd = ends[0], .events = 0, .revents = 0};
  EXPECT_EQ(::poll(&end, 1, 10'000), 1) << "a process still holds the pipe";
  ::close(ends[0]);
}

}  // namespace
}  // namespace weir::test

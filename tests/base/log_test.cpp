// SPDX-License-Identifier: Apache-2.0

// Log messages cannot harm the host program, whatever its standard error is.

#include "weir/log.hpp"

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include "support/fork.hpp"
#include "support/process.hpp"

namespace weir {
namespace {

/// Logs in a child whose standard error `change` has prepared. @return 0 if the child lives on.
int lives_after_logging(const std::function<void()>& change) {
  return test::in_child([&] {
    change();
    log("a message");
    sigset_t pending;
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    if (::sigismember(&pending, SIGPIPE) == 1 || ::sigismember(&pending, SIGXFSZ) == 1) return 2;
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return ::sigismember(&mask, SIGPIPE) == 1 ? 3 : 0;
  });
}

TEST(Log, WritesALineToTheStandardError) {
  const test::MemoryFile err;
  EXPECT_EQ(lives_after_logging([&] { ::dup2(err.fd(), STDERR_FILENO); }), 0);
  EXPECT_EQ(err.read_all(), "weir: a message\n");
}

TEST(Log, SurvivesAClosedAFullAndAnUnreadStandardError) {
  EXPECT_EQ(lives_after_logging([] { ::close(STDERR_FILENO); }), 0);
  EXPECT_EQ(lives_after_logging([] { ::dup2(::open("/dev/full", O_WRONLY), STDERR_FILENO); }), 0);
  EXPECT_EQ(lives_after_logging([] {
              int ends[2];
              (void)!::pipe(ends);
              ::close(ends[0]);
              ::dup2(ends[1], STDERR_FILENO);
            }),
            0)
      << "SIGPIPE";
}

TEST(Log, SurvivesAFileThatMayNotGrow) {
  const test::MemoryFile err;
  EXPECT_EQ(lives_after_logging([&] {
              const rlimit nothing{0, 0};
              ::setrlimit(RLIMIT_FSIZE, &nothing);
              ::dup2(err.fd(), STDERR_FILENO);
            }),
            0)
      << "SIGXFSZ";
}

TEST(Log, WaitsForNobodyWhoDoesNotRead) {
  EXPECT_EQ(lives_after_logging([] {
              int ends[2];
              (void)!::pipe2(ends, O_NONBLOCK);
              const std::string page(4096, 'x');
              while (::write(ends[1], page.data(), page.size()) > 0) {
              }
              ::fcntl(ends[1], F_SETFL, 0);  // now a write would wait for a reader
              ::dup2(ends[1], STDERR_FILENO);
            }),
            0);
}

TEST(Log, DropsWhatTheFunctionOfTheProgramThrows) {
  EXPECT_EQ(lives_after_logging([] { set_log([](std::string_view) { throw std::runtime_error("no"); }); }),
            0);
  EXPECT_EQ(lives_after_logging([] { set_log(nullptr); }), 0);
}

}  // namespace
}  // namespace weir

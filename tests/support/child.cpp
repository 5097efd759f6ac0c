// SPDX-License-Identifier: Apache-2.0
#include "support/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdexcept>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fork.hpp"

namespace weir::test {

namespace {

/// Runs the body. @return every failure of EXPECT and ASSERT.
std::string failures_of(const std::function<void()>& body) {
  using ::testing::ScopedFakeTestPartResultReporter;
  ::testing::TestPartResultArray results;
  {
    const ScopedFakeTestPartResultReporter reporter(
        ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    body();
  }
  std::string text;
  for (int i = 0; i < results.size(); ++i) {
    const ::testing::TestPartResult& result = results.GetTestPartResult(i);
    if (!result.failed()) continue;
    text += std::string(result.file_name() != nullptr ? result.file_name() : "?") + ":" +
            std::to_string(result.line_number()) + ": " + result.message() + "\n";
  }
  return text;
}

int live(const std::function<void()>& body, int report) {
  const std::string failures = failures_of(body);
  const bool reported = ::write(report, failures.data(), failures.size()) == ssize_t(failures.size());
  std::fflush(nullptr);
  return failures.empty() && reported ? 0 : 1;
}

}  // namespace

Child::Child(const std::function<void()>& body) : pid_(fork_child([&] { return live(body, report_.fd()); })) {
  if (pid_ < 0) throw std::runtime_error("cannot fork");
}

Child::~Child() {
  kill();
}

void Child::signal(int number) const noexcept {
  if (!ended_) ::kill(pid_, number);
}

void Child::kill() noexcept {
  signal(SIGKILL);
  while (!ended_) next_status();
}

bool Child::ends_within(std::chrono::milliseconds limit) {
  if (ended_) return true;
  pollfd end{.fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), .events = POLLIN, .revents = 0};
  const bool ready = ::poll(&end, 1, static_cast<int>(limit.count())) == 1;
  ::close(end.fd);
  while (ready && !ended_) next_status();
  return ready;
}

int Child::next_status() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno == EINTR) continue;
    status = 0;  // another waitpid() has reaped it: there will be no more
    break;
  }
  if (!WIFSTOPPED(status)) ended_ = status;
  return status;
}

bool Child::died_of(int signal) const noexcept {
  return ended_ && WIFSIGNALED(*ended_) && WTERMSIG(*ended_) == signal;
}

std::string Child::failure() const {
  if (!ended_) return "still running";
  if (WIFSIGNALED(*ended_)) return std::string("killed by ") + ::strsignal(WTERMSIG(*ended_));
  if (std::string text = report_.read_all(); !text.empty()) return text;
  if (WEXITSTATUS(*ended_) != 0) return "exit status " + std::to_string(WEXITSTATUS(*ended_));
  return {};
}

}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

// weir-run, and a segment of its own.

#include <chrono>
#include <filesystem>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/limiter.hpp"

#include "support/fork.hpp"
#include "support/process.hpp"
#include "support/segment_name.hpp"

namespace weir {

using Arguments = std::vector<std::string>;
using Variables = std::vector<std::pair<std::string, std::string>>;

inline Arguments operator+(Arguments left, const Arguments& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// Runs the tool with WEIR_SEGMENT empty, which is as good as unset.
inline test::Ran weir_run(const Arguments& arguments, const Variables& environment = {{"WEIR_SEGMENT", ""}}) {
  return test::run(Arguments{WEIR_BIN_DIR "/weir-run"} + arguments, {}, environment);
}

/// Runs the tool by a shell, which changes its descriptors.
inline int status_under(const std::string& redirection, const Arguments& arguments) {
  const std::string script = "exec \"$0\" \"$@\" " + redirection;
  return test::run(Arguments{"sh", "-c", script, WEIR_BIN_DIR "/weir-run"} + arguments).status;
}

/// A running weir-run whose command reads what the test says and answers.
class Job {
 public:
  explicit Job(Arguments arguments) {
    int in[2];
    int out[2];
    // A socket, so that writing to a command that is gone is an error and no SIGPIPE.
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    arguments.insert(arguments.begin(), WEIR_BIN_DIR "/weir-run");
    pid_ = test::fork_child([&] {
      const rlimit no_core_files{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core_files);
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execv(arguments[0].c_str(), test::exec_array(arguments).data());
      return 99;
    });
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() {
    end_input();
    if (pid_ > 0) signal(SIGKILL), (void)wait();
    ::close(from_);
  }

  void signal(int number) const { ::kill(pid_, number); }

  /// The next line that the command writes; empty when no process is left that could write.
  [[nodiscard]] std::string line() const {
    std::string text;
    for (char byte = 0; read_byte(byte) && byte != '\n';) text += byte;
    return text;
  }
  /// What `cat` says to that.
  [[nodiscard]] std::string echo(const std::string& text) const {
    EXPECT_GT(::send(to_, (text + "\n").data(), text.size() + 1, MSG_NOSIGNAL), 0);
    return line();
  }
  /// Whether all processes that could write have ended, while the input is still open.
  [[nodiscard]] bool all_gone() const {
    char byte = 0;
    return !read_byte(byte) && !timed_out_;
  }
  void end_input() {
    if (to_ >= 0) ::close(std::exchange(to_, -1));
  }
  /// Waits for weir-run. @return what waitpid() tells.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  /// Ends the input, which ends `cat`. @return the exit status of weir-run.
  int finish() {
    end_input();
    if (!all_gone()) signal(SIGKILL);  // the test has failed; it need not hang
    const int status = wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  bool read_byte(char& byte) const {
    pollfd readable{from_, POLLIN, 0};
    timed_out_ = ::poll(&readable, 1, 20'000) == 0;
    EXPECT_FALSE(timed_out_) << "the command neither writes nor ends";
    return !timed_out_ && ::read(from_, &byte, 1) == 1;
  }

  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  mutable bool timed_out_ = false;
};

class WeirRun : public testing::Test {
 protected:
  WeirRun() {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Config config;
    config.segment.name = segment_.str();
    config.segment.users = 1000;
    config.segment.workers = 16;
    config.operations["free"];
    config.operations["job"].shared.concurrent = 1;
    config.operations["line"].shared.concurrent = 1;
    config.operations["line"].queue = {.seats = 4, .timeout = std::chrono::minutes(1)};
    config.operations["slow"].shared.rates = {{1, std::chrono::milliseconds(300), 1}};
    config.operations["slow"].queue = {.seats = 4, .timeout = std::chrono::minutes(1)};
    config.operations["backup"].shared.rates = {{1, std::chrono::hours(24), 1}};
    config.operations["export"].user.rates = {{1, std::chrono::hours(24), 1}};
    config.operations["bulk"].shared.rates = {{1, std::chrono::hours(24), 5}};
    config.operations["heavy"].shared.concurrent = 2;
    config.operations["call"].breaker = Breaker{.failures = 2, .recovery = std::chrono::hours(1)};
    const Result<Limiter> limiter = Limiter::open(config);
    EXPECT_TRUE(limiter) << limiter.error().message();
  }
  ~WeirRun() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  [[nodiscard]] Arguments under(const std::string& operation, const Arguments& more = {}) const {
    return Arguments{"--segment", segment_.str(), "--operation", operation} + more + Arguments{"--"};
  }

  test::SegmentName segment_;
  std::string directory_ = testing::TempDir() + "weir-run-XXXXXX";
};

}  // namespace weir

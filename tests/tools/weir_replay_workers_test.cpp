// SPDX-License-Identifier: Apache-2.0

// weir-replay with several workers: the same answer for any number, and none after an accident.

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <thread>

#include "weir_replay.hpp"

namespace weir::test {
namespace {

constexpr std::string_view kLimits = R"(
[global]
rate = "20/s burst 60"
[operations.http]
rate = "10/s burst 40"
[operations.http.user]
rate = ["30/min burst 5", "100/hour"]
)";

/// A log of some megabytes, so that each worker has several turns, with late lines, many users, and lines that are not
/// requests.
std::string busy_log(std::uint32_t lines) {
  std::string log;
  std::uint32_t random = 1;
  for (std::uint32_t i = 0; i < lines; ++i) {
    random = random * 1664525 + 1013904223;
    const std::uint32_t second = i / 12 + (random >> 30);  // up to 3 s out of order
    const std::uint32_t user = (random >> 16) % 5 == 0 ? 0 : (random >> 8) % 4000;
    const std::string time =
        fmt::format("12/Mar/2024:{:02}:{:02}:{:02} +0100", second / 3600 % 24, second / 60 % 60, second % 60);
    log += i > 5000 && i % 997 == 5 ? std::string("\x16\x03\x01\n")
                                    : log_line(fmt::format("192.0.2.{}", user), time);
  }
  return log;
}

/// A program that runs beside the test; killed if it still does at the end.
class Running {
 public:
  Running(std::vector<std::string> argv, const MemoryFile& err) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, err.fd(), STDERR_FILENO);
    ::posix_spawn(&pid_, argv.at(0).c_str(), &actions, nullptr, exec_array(argv).data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait_for_exit(pid_);
  }

  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
  }

  int status() { return wait_for_exit(std::exchange(pid_, -1)); }

  /// The last of its children, once it has `count`; -1: it ended before that could be seen.
  [[nodiscard]] pid_t last_of_children(int count) const {
    while (!ended()) {
      std::ifstream list(fmt::format("/proc/{0}/task/{0}/children", pid_));
      pid_t child = -1;
      int seen = 0;
      while (list >> child) ++seen;
      if (seen == count) return child;
      std::this_thread::yield();
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
};

/// Stops a process. False: it had ended already.
bool stop(pid_t process) {
  if (::kill(process, SIGSTOP) != 0) return false;
  for (;;) {
    const std::string status = read_file(fmt::format("/proc/{}/stat", process));
    const std::size_t name_end = status.rfind(')');
    if (name_end == status.npos || status[name_end + 2] == 'Z' || status[name_end + 2] == 'X') return false;
    if (status[name_end + 2] == 'T') return true;
    std::this_thread::yield();
  }
}

class WeirReplayWorkers : public WeirReplay {};

TEST_F(WeirReplayWorkers, AnswerTheSameWhateverTheirNumber) {
  const std::string log = busy_log(40'000);
  const Ran alone_text = replay(kLimits, log, {"--workers", "1"});
  const Ran alone_json = replay(kLimits, log, {"--json"});
  const auto counts = nlohmann::json::parse(alone_json.out);
  ASSERT_GT(counts["refused"], 1000);
  ASSERT_GT(counts["admitted"], 1000);
  EXPECT_EQ(counts["unparsed"], 35);
  EXPECT_EQ(counts["refused_by"].size(), 3u) << counts["refused_by"];
  for (const std::string workers : {"2", "4", "7", "64"}) {
    EXPECT_EQ(replay(kLimits, log, {"--workers", workers}).out, alone_text.out) << workers << " workers";
    EXPECT_EQ(replay(kLimits, log, {"--json", "--workers", workers}).out, alone_json.out) << workers;
  }
}

TEST_F(WeirReplayWorkers, AnswerForALogSmallerThanTheirNumber) {
  EXPECT_EQ(report(kLimits, "", {"--workers", "8"})["requests"], 0);
  EXPECT_EQ(report(kLimits, busy_log(2), {"--workers", "8"})["requests"], 2);
}

TEST_F(WeirReplayWorkers, ReadStandardInputToo) {
  const std::string log = busy_log(20'000);
  const Ran from_file = replay(kLimits, log);
  const std::vector<std::string> argv = {kWeirReplay, "--config", dir_ / "limits.toml",
                                         "--workers", "3",        "-"};
  const Ran from_stdin = run(argv, log);
  ASSERT_EQ(from_stdin.status, 0) << from_stdin.err;
  EXPECT_EQ(from_stdin.out.substr(from_stdin.out.find('\n')), from_file.out.substr(from_file.out.find('\n')));
}

TEST_F(WeirReplayWorkers, HoldABoundedPartOfStandardInput) {
  const std::string log = busy_log(400'000);  // more requests than are held at once
  const Ran from_file = replay(kLimits, log, {"--json"});
  for (const std::string workers : {"1", "3"}) {
    const Ran from_stdin =
        run({kWeirReplay, "--config", dir_ / "limits.toml", "--json", "--workers", workers, "-"}, log);
    ASSERT_EQ(from_stdin.status, 0) << from_stdin.err;
    auto expected = nlohmann::json::parse(from_file.out);
    auto found = nlohmann::json::parse(from_stdin.out);
    expected.erase("log");
    found.erase("log");
    EXPECT_EQ(found, expected) << workers;
  }
}

TEST_F(WeirReplayWorkers, AKilledWorkerIsAnErrorAndNoHang) {
  const std::string config = dir_.write("limits.toml", kLimits);
  const std::string log = dir_.write("access.log", busy_log(200'000));
  for (int attempt = 0; attempt < 100; ++attempt) {
    const MemoryFile err;
    Running replay({kWeirReplay, "--config", config, "--workers", "4", log}, err);
    const pid_t worker = replay.last_of_children(4);
    if (worker < 0 || !stop(worker)) continue;  // it was faster than us
    ::kill(worker, SIGKILL);
    EXPECT_EQ(replay.status(), 1);
    EXPECT_NE(err.read_all().find("worker 4 of 4 was killed by signal 9"), std::string::npos)
        << err.read_all();
    return;
  }
  FAIL() << "no worker could be caught at work";
}

TEST_F(WeirReplayWorkers, ALogThatIsCutMeanwhileIsAnError) {
  const std::string config = dir_.write("limits.toml", kLimits);
  const std::string log = dir_.write("access.log", busy_log(20'000));
  const std::string before = dir_ / "before";
  ASSERT_EQ(::mkfifo(before.c_str(), 0600), 0);
  const MemoryFile err;
  Running replay({kWeirReplay, "--config", config, before, log}, err);
  {
    std::ofstream writer(before);
    writer << busy_log(20'000) << std::flush;  // more than a pipe holds: all logs are open by now
    std::filesystem::resize_file(log, 0);
  }
  EXPECT_EQ(replay.status(), 1);
  EXPECT_NE(err.read_all().find("cut short while it was read"), std::string::npos) << err.read_all();
}

}  // namespace
}  // namespace weir::test

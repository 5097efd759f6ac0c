// SPDX-License-Identifier: Apache-2.0
#pragma once

// A program on a terminal of its own: a pseudo-terminal whose other end the test holds.

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "support/process.hpp"

namespace weir::test {

class Terminal {
 public:
  explicit Terminal(std::vector<std::string> argv, unsigned short rows = 24, unsigned short columns = 80,
                    std::vector<std::pair<std::string, std::string>> environment = {{"TERM", "xterm"}})
      : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    ::grantpt(master_);
    ::unlockpt(master_);
    char name[64]{};
    ::ptsname_r(master_, name, sizeof name);
    slave_ =
        ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);  // keeps what was written when the program has ended
    resize(rows, columns);

    // The first terminal that the leader of a session opens becomes that of its session.
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name, O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    std::vector<std::string> variables = environment_with(environment);
    ::posix_spawnp(&child_, argv.at(0).c_str(), &actions, &attributes, exec_array(argv).data(),
                   exec_array(variables).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      wait_for_exit(child_);
    }
    ::close(slave_);
    ::close(master_);
  }

  void type(std::string_view keys) const { (void)!::write(master_, keys.data(), keys.size()); }

  void resize(unsigned short rows, unsigned short columns) const {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    ::ioctl(master_, TIOCSWINSZ, &size);
  }

  /// How the terminal treats what is typed: whether it shows it, waits for whole lines, ...
  [[nodiscard]] termios mode() const {
    termios mode{};
    ::tcgetattr(slave_, &mode);
    return mode;
  }

  /// Everything that the program has written so far.
  [[nodiscard]] const std::string& output() const noexcept { return output_; }
  /// Forgets it.
  void clear() { output_.clear(); }

  /// Waits until `holds(output())`; returns false if that does not come true within a minute.
  template <class Condition>
  [[nodiscard]] bool wait_until(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!holds(output_)) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      read_for(100);
    }
    return true;
  }
  [[nodiscard]] bool wait_for(std::string_view text) {
    return wait_until([&](const std::string& output) { return output.find(text) != output.npos; });
  }

  /// Waits for the end of the program, and reads what it wrote until then. Returns its status, as Ran::status.
  [[nodiscard]] int end() {
    siginfo_t ended{};
    do {
      read_for(20);
      ended.si_pid = 0;
      ::waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOHANG | WNOWAIT);
    } while (ended.si_pid == 0);
    read_for(0);
    return wait_for_exit(std::exchange(child_, -1));
  }

 private:
  void read_for(int milliseconds) {
    pollfd ready{master_, POLLIN, 0};
    char block[4096];
    while (::poll(&ready, 1, milliseconds) > 0 && (ready.revents & POLLIN) != 0) {
      const ssize_t got = ::read(master_, block, sizeof block);
      if (got <= 0) return;
      output_.append(block, static_cast<std::size_t>(got));
      milliseconds = 0;
    }
  }

  int master_;
  int slave_ = -1;
  pid_t child_ = -1;
  std::string output_;
};

}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A program on the screen of a terminal that tmux emulates, for programs that draw.

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"

namespace weir::test {

class Tmux {
 public:
  [[nodiscard]] static bool is_there() { return run({"tmux", "-V"}).status == 0; }

  /// Runs a command of the shell; `directory` is one of the test's own, for the socket of the server.
  Tmux(std::string directory, const std::string& command, int columns = 80, int rows = 24)
      : directory_(std::move(directory)) {
    (void)tmux({"-f", "/dev/null", "new-session", "-d", "-x", std::to_string(columns), "-y",
                std::to_string(rows), "-s", "test", command + "; echo ended $?; exec cat"});
  }
  Tmux(const Tmux&) = delete;
  Tmux& operator=(const Tmux&) = delete;
  ~Tmux() { (void)tmux({"kill-server"}); }

  /// Presses keys, by the names that tmux gives them: "Enter", "Down", "q".
  void press(std::vector<std::string> keys) const {
    keys.insert(keys.begin(), {"send-keys", "-t", "test"});
    (void)tmux(std::move(keys));
  }
  void resize(int columns, int rows) const {
    (void)tmux({"resize-window", "-t", "test", "-x", std::to_string(columns), "-y", std::to_string(rows)});
  }
  [[nodiscard]] std::string screen() const { return tmux({"capture-pane", "-p", "-t", "test"}); }
  /// With the sequences that colour it.
  [[nodiscard]] std::string coloured_screen() const {
    return tmux({"capture-pane", "-e", "-p", "-t", "test"});
  }

  /// Waits until `holds(screen())`; returns false if that does not come true within a minute.
  template <class Condition>
  [[nodiscard]] bool wait_until(Condition holds) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!holds(screen())) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));  // leaves the processor to the program
    }
    return true;
  }
  [[nodiscard]] bool shows(std::string_view text) const {
    return wait_until([&](const std::string& screen) { return screen.find(text) != screen.npos; });
  }
  [[nodiscard]] bool hides(std::string_view text) const {
    return wait_until([&](const std::string& screen) { return screen.find(text) == screen.npos; });
  }

 private:
  [[nodiscard]] std::string tmux(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"tmux", "-L", socket_});
    return run(std::move(arguments), {},
               {{"TMUX_TMPDIR", directory_}, {"TMUX", ""}, {"LC_ALL", "C.UTF-8"}, {"TERM", "xterm"}})
        .out;
  }

  // A server that was told to end may still answer for a moment, so each has a socket of its own.
  static std::string next_socket() {
    static int last = 0;
    return "test-" + std::to_string(++last);
  }

  std::string directory_;
  std::string socket_ = next_socket();
};

}  // namespace weir::test

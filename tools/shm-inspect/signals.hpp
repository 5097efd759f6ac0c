// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <signal.h>

namespace weir::shm_inspect {

/// While it lives, the signals that end a program, stop it or tell it of a new size of its terminal do nothing by
/// themselves, but are received by wait(). So they come between two screens, never within one.
class Signals {
 public:
  Signals() noexcept;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  /// Waits until a moment, or for a signal; returns that signal, or 0.
  [[nodiscard]] int wait(std::chrono::steady_clock::time_point until) const noexcept;
  /// Stops this process as Ctrl-Z does, until it is continued.
  void stop() const noexcept;

  [[nodiscard]] static bool ends(int signal) noexcept {
    return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  }

 private:
  sigset_t received_{};
  sigset_t before_{};
};

}  // namespace weir::shm_inspect

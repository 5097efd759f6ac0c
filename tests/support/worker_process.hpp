// SPDX-License-Identifier: Apache-2.0
#pragma once

// A process of a test that does something, says that it is ready, and stays until it is killed.

#include <functional>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.hpp"

namespace weir::test {

class WorkerProcess {
 public:
  /// Forks. The child runs `body`, then reports that it is ready and pauses for ever. The constructor returns
  /// when the child is ready or dead.
  explicit WorkerProcess(const std::function<void()>& body)
      : WorkerProcess([&](int ready_fd) {
          body();
          say_ready(ready_fd);
          for (;;) ::pause();
        }) {}

  /// Forks for a body that calls say_ready() itself: before an exec, or in a child of its own.
  explicit WorkerProcess(const std::function<void(int ready_fd)>& body)
      : process_([&] {
          ::close(pipe_.ends[0]);
          body(pipe_.ends[1]);
        }) {
    ::close(pipe_.ends[1]);
    char byte = 0;
    ready_ = ::read(pipe_.ends[0], &byte, 1) == 1;
    ::close(pipe_.ends[0]);
  }

  static void say_ready(int ready_fd) { (void)!::write(ready_fd, "x", 1); }

  void signal(int number) const { process_.signal(number); }
  /// Kills without waiting, so that a zombie remains.
  void kill_lazily() const {
    signal(SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid()), &info, WEXITED | WNOWAIT);
  }
  void kill() { process_.kill(); }

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  struct Pipe {
    Pipe() {
      if (::pipe(ends) != 0) ends[0] = ends[1] = -1;  // then nobody is ready
    }
    int ends[2];
  };

  Pipe pipe_;  // before the process, which inherits it
  Child process_;
  bool ready_ = false;
};

}  // namespace weir::test

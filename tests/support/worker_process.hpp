// SPDX-License-Identifier: Apache-2.0
#pragma once

// A process of a test that does something, says that it is ready, and stays until it is killed.

#include <functional>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

  /// As above, for a body that calls say_ready() itself: before an exec, or in a child of its own.
  explicit WorkerProcess(const std::function<void(int ready_fd)>& body) {
    int ready[2];
    if (::pipe(ready) != 0) ::_exit(99);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ready[0]);
      body(ready[1]);
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess() { kill(); }

  static void say_ready(int ready_fd) { (void)!::write(ready_fd, "x", 1); }

  void signal(int number) const { ::kill(pid_, number); }
  /// Kills without waiting, so that a zombie remains.
  void kill_lazily() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  bool ready_ = false;
};

}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

// How tests fork. A child begins with empty output buffers: what its parent has printed is written once, and never
// by a child that a test forbids to write. It ends by _exit(), so that nothing of its parent is destroyed in it, and
// it dies with its parent, so that a killed test leaves nothing behind.
//
// in_child() waits for the child's end; Child (child.hpp) is a process that lives beside the test.

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

/// What happens to a child when its parent, or the thread that forked it, ends.
enum class Orphan {
  killed = SIGKILL,
  terminated = SIGTERM,
  /// For tests of just that: something that only the test keeps, such as the other end of a pipe, must end it.
  lives_on = 0,
};

/// Makes the kernel signal the calling process when `parent` ends. Children do not inherit this.
inline void die_with(pid_t parent, Orphan orphan = Orphan::killed) noexcept {
  if (orphan == Orphan::lives_on) return;
  ::prctl(PR_SET_PDEATHSIG, static_cast<int>(orphan));
  // 0: the parent is of another PID namespace.
  if (const pid_t now = ::getppid(); now != parent && now != 0) ::_exit(1);  // it had ended already
}

/// Runs `body` in a forked child, which ends with its result. @return the child's pid, or -1
template <class Body>
pid_t fork_child(Body&& body, Orphan orphan = Orphan::killed) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  die_with(parent, orphan);
  ::_exit(body());
}

/// As fork_child(), by a raw clone: no fork handler runs.
template <class Body>
pid_t clone_child(Body&& body, Orphan orphan = Orphan::killed) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child != 0) return static_cast<pid_t>(child);
  die_with(parent, orphan);
  ::_exit(body());
}

/// Waits for the end of a child. @return its result, or -1 if it died
inline int result_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Runs `body` in a forked child. @return its result, or -1 if it died
inline int in_child(const std::function<int()>& body) {
  return result_of(fork_child(body));
}

/// In a child that lives on: stays until the test closes its end of the pipe, or ends. @return 0
inline int stay_until_closed(const int (&pipe)[2]) {
  ::close(pipe[1]);
  char byte = 0;
  (void)!::read(pipe[0], &byte, 1);
  return 0;
}

}  // namespace weir::test

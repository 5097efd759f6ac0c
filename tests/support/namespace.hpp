#pragma once

// A process of its own for a test that changes what a process sees: mounts, user, limits.

#include <functional>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

/// Runs `body` in a forked child. @return its result, or -1 if it died.
inline int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Gives the calling process a /dev/shm of its own of `bytes` bytes. False where the kernel forbids it.
inline bool own_shared_memory(const char* options) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("tmpfs", "/dev/shm", "tmpfs", 0, options) == 0;
}

}  // namespace weir::test

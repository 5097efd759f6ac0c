// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs a program to its end and keeps what it wrote.
//
// Its input and outputs are unnamed files in memory rather than pipes: a pipe cannot fill up, no SIGPIPE
// arrives, and a grandchild that keeps an output open cannot make the test wait for it.

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace weir::test {

/// What a program left behind.
struct Ran {
  int status = -1;  ///< its exit status; 128 + the signal that killed it; 127 if it could not be started
  std::string out;
  std::string err;
};

/// A file without a name, closed with its object.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content = {}) : fd_(::memfd_create("weir-test", MFD_CLOEXEC)) {
    while (!content.empty()) {
      const ssize_t written = ::write(fd_, content.data(), content.size());
      if (written <= 0) return;
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    ::lseek(fd_, 0, SEEK_SET);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  [[nodiscard]] int fd() const noexcept { return fd_; }

  [[nodiscard]] std::string read_all() const {
    std::string all;
    char block[4096];
    for (;;) {
      const ssize_t got = ::pread(fd_, block, sizeof block, static_cast<off_t>(all.size()));
      if (got <= 0) return all;
      all.append(block, static_cast<std::size_t>(got));
    }
  }

 private:
  int fd_;
};

/// The environment of this process with some variables changed or added.
inline std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : changes) replaced |= text.substr(0, text.find('=')) == name;
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(name + "=" + value);
  return result;
}

/// The array of char* that exec wants, over strings that must outlive it.
inline std::vector<char*> exec_array(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

inline int wait_for_exit(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Runs `argv` (found along PATH), feeds it `input`, and waits for its end.
inline Ran run(std::vector<std::string> argv, const std::string& input = {},
               const std::vector<std::pair<std::string, std::string>>& env = {}) {
  const MemoryFile in(input);
  const MemoryFile out;
  const MemoryFile err;
  std::vector<std::string> variables = environment_with(env);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.fd(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.fd(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.fd(), STDERR_FILENO);
  pid_t child = -1;
  const int failed = ::posix_spawnp(&child, argv.at(0).c_str(), &actions, nullptr, exec_array(argv).data(),
                                    exec_array(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);

  if (failed != 0) return {127, {}, argv.at(0) + ": " + std::strerror(failed)};
  const int status = wait_for_exit(child);
  return {status, out.read_all(), err.read_all()};
}

}  // namespace weir::test

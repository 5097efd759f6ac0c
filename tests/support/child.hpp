// SPDX-License-Identifier: Apache-2.0
#pragma once

// A forked process that runs one function beside the test. EXPECT and ASSERT work in it, and it never outlives its
// parent.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>

#include "support/process.hpp"

namespace weir::test {

class Child {
 public:
  explicit Child(const std::function<void()>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  ///< Kills the child if it still runs, and reaps it.

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept;
  void kill() noexcept;  ///< Sends SIGKILL and reaps the child.

  /// Waits for the child's end. @return false if it did not end within `limit`.
  [[nodiscard]] bool ends_within(std::chrono::milliseconds limit);
  /// Waits for the next status of waitpid(), and returns it: for the loop of a tracer.
  int next_status();

  [[nodiscard]] bool died_of(int signal) const noexcept;
  /// The failure of a child that has ended: empty if all went well; otherwise what EXPECT and ASSERT said, or
  /// what it died of.
  [[nodiscard]] std::string failure() const;

 private:
  MemoryFile report_;
  pid_t pid_;
  std::optional<int> ended_;  // the status from waitpid(); after that the pid is no longer ours
};

}  // namespace weir::test

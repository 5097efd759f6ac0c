#pragma once

// A forked process that runs one function. EXPECT and ASSERT work in it; it never outlives its parent.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>

#include "support/process.hpp"

namespace weir::test {

/// Makes the kernel kill the calling process when `parent` dies. Children do not inherit it: call it in each.
void die_with(pid_t parent) noexcept;

class Child {
 public:
  explicit Child(const std::function<void()>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  ///< Kills it, if it still runs, and reaps it.

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept;
  void kill() noexcept;  ///< SIGKILL, and reaps it.

  /// Waits for its end. @return false: it did not come within `limit`.
  [[nodiscard]] bool ends_within(std::chrono::milliseconds limit);
  /// Waits for the next thing that waitpid() tells, and tells it: a tracer's loop.
  int next_status();

  [[nodiscard]] bool died_of(int signal) const noexcept;
  /// Of an ended one. Empty: all went well; else what EXPECT and ASSERT said, or what it died of.
  [[nodiscard]] std::string failure() const;

 private:
  MemoryFile report_;
  pid_t pid_;
  std::optional<int> ended_;  // what waitpid() told; then the pid is no longer ours
};

}  // namespace weir::test

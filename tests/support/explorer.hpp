// SPDX-License-Identifier: Apache-2.0
#pragma once

// The scheduler behind explore().

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/word.hpp"
#include "support/fiber.hpp"
#include "support/schedule.hpp"
#include "support/schedule_story.hpp"

namespace weir::test {

/// Searches all choices depth-first. Steps are never undone: to try the next action of a state, the program
/// is started again and led there by the same choices.
class Explorer {
 public:
  Explorer(const Program& program, const Options& options);
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;
  ~Explorer() { active = nullptr; }

  Verdict run();

  void before_access(detail::Access access, const void* word, std::size_t size) noexcept;
  void after_exchange(bool done) noexcept { exchange_done_ = done; }
  [[nodiscard]] bool alive(std::size_t process) noexcept;
  void sleep(const std::uint64_t& asleep) noexcept;
  void complain(const Complaint& complaint) {
    if (complaint && verdict_.ok()) verdict_.failure = *complaint;
  }

  static inline Explorer* active = nullptr;

 private:
  static constexpr std::size_t kNobody = Program::kMaxProcesses;

  /// One possible next action.
  struct Action {
    enum Kind : std::uint8_t { step, kill, end } kind;
    std::uint8_t process = 0;
  };

  /// A state on the current path, and which of its actions is being tried.
  struct Choice {
    std::vector<Action> actions;
    std::size_t current = 0;
  };

  struct Process {
    Fiber fiber;
    Step next;                              ///< the next access of the process
    std::uint64_t history = 0;              ///< hash of everything that it has learned
    const std::uint64_t* asleep = nullptr;  ///< it does not continue while this is not 0
  };

  void execute();
  void restart();
  void restore();
  bool visit();
  [[nodiscard]] std::uint64_t state();
  [[nodiscard]] std::vector<Action> actions() const;
  [[nodiscard]] bool running(std::size_t process) const noexcept;
  void perform(Action action, std::size_t depth);
  Step access(std::size_t process);
  void resume(std::size_t process);
  bool backtrack();
  [[nodiscard]] bool declared(const std::byte* word, std::size_t size) const noexcept;

  Program program_;
  const Options options_;
  std::array<std::uint64_t, Program::kMaxProcesses> alive_{};  // shared, too: a look teaches
  std::vector<std::byte> initial_;                             // bytes of all shared memory, at the start
  std::vector<std::byte> snapshot_;                            // of everything that makes up a state
  std::array<Process, Program::kMaxProcesses> processes_;
  std::size_t current_ = kNobody;  // the process whose fiber is running
  bool exchange_done_ = true;

  std::size_t last_ = kNobody;  // the process that made the last access
  unsigned preemptions_ = 0;
  unsigned kills_ = 0;
  std::vector<Choice> path_;
  std::vector<Step> trace_;
  std::unordered_set<std::uint64_t> states_;
  Verdict verdict_;
};

}  // namespace weir::test

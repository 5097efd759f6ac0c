// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every interleaving of a small program over shared words.
//
// A program consists of 1 to 4 logical processes. explore() runs them on one thread, and at every access to a
// Word or PairWord it chooses which process continues; it starts the program again until each choice was made
// in each state. So a process that is paused anywhere, for as long as the others run, needs no action of its
// own: it is one of the interleavings. With `max_kills` a process may also be killed, before any access and
// after its last.
//
//   struct { Word permit; std::uint64_t inside = 0; } memory;
//   Program program;
//   program.shared(memory, "memory").name(memory.permit, "permit");
//   const auto taker = program.process("taker", [&] { ... });
//   program.process("sweeper", [&] { if (!program.alive(taker)) ... });
//   program.check([&] { return memory.inside <= 1 ? std::nullopt : std::optional("two inside"); });
//   const Verdict verdict = explore(program, {.max_kills = 1});
//   EXPECT_TRUE(verdict.ok()) << verdict;
//
// What holds:
//  - Sequential consistency. The weak-memory tests cover weaker orders.
//  - Whatever the processes change must be declared with shared(), including a test's own counters: each
//    execution starts from the bytes that were there when explore() was called. Undeclared words are refused;
//    a body that behaves differently on the same choices is reported.
//  - A state is the declared bytes, which processes are alive, and what each process has learned so far. A
//    state seen before is not entered again (`prune`). States are told apart by 64 bits: with ten million of
//    them, the chance that any two are taken for one is 3 in a million.
//  - Code between two accesses runs together with the first of them.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#ifndef WEIR_WORD_HOOKS
#error "compile every source of this program with WEIR_WORD_HOOKS=\"support/schedule_hooks.hpp\""
#endif

namespace weir::test {

/// A logical process: its position in the program.
enum class ProcessId : std::uint8_t {};

/// What is wrong, if anything.
using Complaint = std::optional<std::string>;

struct NamedBytes {
  std::span<std::byte> bytes;
  std::string name;
};

class Program {
 public:
  static constexpr std::size_t kMaxProcesses = 4;

  /// Adds a process. It is alive until it is killed: after its body has ended it idles.
  ProcessId process(std::string name, std::function<void()> body);

  /// Declares memory that processes change: words or the test's own counters. It must be flat.
  template <typename T>
  Program& shared(T& object, const std::string& name) {
    static_assert(std::is_trivially_destructible_v<T>, "the bytes of the object must be all of it");
    shared_.push_back({std::as_writable_bytes(std::span(&object, 1)), name});
    return this->name(object, name);
  }
  Program& shared(std::span<std::byte> bytes, const std::string& name);

  /// Names a part of the memory for the story; the elements of an array are numbered.
  template <typename T>
  Program& name(T& object, const std::string& name) {
    names_.push_back({std::as_writable_bytes(std::span(&object, 1)), name});
    if constexpr (std::ranges::range<T>) {
      std::size_t index = 0;
      for (auto& element : object) this->name(element, name + "[" + std::to_string(index++) + "]");
    }
    return *this;
  }

  /// Called after each complete execution. It may use the words like any survivor (sweep, then count).
  void check(std::function<Complaint()> check) { check_ = std::move(check); }

  /// Called after each step; it must not change anything.
  void invariant(std::function<Complaint()> invariant) { invariant_ = std::move(invariant); }

  /// Whether the process has not been killed yet; for bodies (where it is a step like any load) and check().
  [[nodiscard]] bool alive(ProcessId process) const noexcept;

  /// For bodies: sleeps until another process sets `asleep`, which is declared memory, to 0. The scheduler wakes nobody
  /// by itself: if no process can continue, the execution has ended, and check() may see that some still sleep.
  void sleep(const std::uint64_t& asleep) const;

  /// For bodies: ends the exploration with `complaint` unless `holds` is true.
  void require(bool holds, const char* complaint) const;

 private:
  friend class Explorer;
  friend class Story;
  struct Process {
    std::string name;
    std::function<void()> body;
  };
  std::vector<Process> processes_;
  std::vector<NamedBytes> shared_;
  std::vector<NamedBytes> names_;
  std::function<Complaint()> check_ = [] { return std::nullopt; };
  std::function<Complaint()> invariant_ = [] { return std::nullopt; };
};

struct Options {
  /// How many processes may be killed in one execution.
  unsigned max_kills = 0;
  /// How often a process may be left although it could continue; no value: any number of times.
  std::optional<unsigned> max_preemptions = std::nullopt;
  /// The longest execution. A longer one is a failure: a process spins, or waits for one that may never come.
  std::size_t max_steps = 500;
  /// Whether a state seen before is skipped. Without this the verdict is the same, and only takes longer.
  bool prune = true;
  /// Fewer distinct states than this are a failure: the program does not do what its author believes.
  std::uint64_t min_states = 1;
};

struct Verdict {
  std::uint64_t executions = 0;  ///< executions that ran to their end and were checked
  std::uint64_t states = 0;      ///< distinct states
  std::uint64_t steps = 0;       ///< of all executions
  std::string failure;           ///< empty: there was none in any interleaving
  std::string story;             ///< the schedule that led to it, one line per step

  [[nodiscard]] bool ok() const noexcept { return failure.empty(); }
};
std::ostream& operator<<(std::ostream& out, const Verdict& verdict);

/// Runs the program in every way that `options` allow, up to the first failure, and prints one line of
/// numbers. A failure is reported with a schedule that has the fewest preemptions.
Verdict explore(const Program& program, const Options& options = {});

}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Other processes do the same work for as long as a benchmark runs, which shows the cost of contention between
// processes.

#include <benchmark/benchmark.h>
#include <csignal>
#include <cstdint>
#include <new>
#include <span>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace weir {

/// Forked processes, each of which runs `body` with its own number. They are killed at the end of the scope, and by
/// the kernel if this process ends before.
class Children {
 public:
  template <class Body>
  Children(int count, Body&& body) {
    const pid_t parent = ::getpid();
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() == parent) run(body, i);
        ::_exit(0);
      }
      if (child < 0) {
        kill_all();
        throw std::runtime_error("fork failed: fewer processes at once may help");
      }
      pids_.push_back(child);
    }
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children() { kill_all(); }

  [[nodiscard]] pid_t pid(int i) const { return pids_.at(static_cast<std::size_t>(i)); }

  /// Waits until all of them have come to their end.
  void join() {
    for (; !pids_.empty(); pids_.pop_back()) {
      int status = 0;
      if (::waitpid(pids_.back(), &status, 0) < 0 || status != 0)
        throw std::runtime_error("a process of the benchmark died");
    }
  }

 private:
  // An exception ends the child here, because above it is the code of its parent.
  template <class Body>
  static void run(Body&& body, int i) noexcept {
    body(i);
  }
  void kill_all() noexcept {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

  std::vector<pid_t> pids_;
};

/// Measures `work` in this process while others do the same. `processes` is how many they are in all.
template <class Work>
void measure(benchmark::State& state, std::int64_t processes, Work&& work) {
  const Children neighbours(static_cast<int>(processes) - 1, [&](int) {
    for (;;) work();
  });
  for (auto _ : state) work();
}

/// An array of zeros that is shared with children.
template <class T>
class SharedArray {
 public:
  explicit SharedArray(std::size_t count)
      : bytes_(count * sizeof(T)),
        memory_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1,
                       0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  ~SharedArray() { ::munmap(memory_, bytes_); }

  [[nodiscard]] std::span<T> get() const { return {static_cast<T*>(memory_), bytes_ / sizeof(T)}; }

 private:
  std::size_t bytes_;
  void* memory_;
};

/// An object that is shared with children.
template <class T>
class Shared {
 public:
  template <class... Arguments>
  explicit Shared(Arguments&&... arguments)
      : object_(new (memory_.get().data()) T(std::forward<Arguments>(arguments)...)) {}
  T* operator->() noexcept { return object_; }
  T& operator*() noexcept { return *object_; }

 private:
  SharedArray<T> memory_{1};
  T* object_;
};

}  // namespace weir

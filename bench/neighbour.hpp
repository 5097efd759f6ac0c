// SPDX-License-Identifier: Apache-2.0
#pragma once

// A second process does the same work for as long as a benchmark runs, which shows the cost of contention
// between processes.

#include <new>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir {

/// Runs `work` in forked children for ever; they are killed at the end of the scope.
class Neighbours {
 public:
  template <class Work>
  Neighbours(int count, Work&& work) : count_(count) {
    for (int i = 0; i < count_; ++i) {
      children_[i] = ::fork();
      if (children_[i] != 0) continue;
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) work();
    }
  }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;
  ~Neighbours() {
    for (int i = 0; i < count_; ++i) {
      ::kill(children_[i], SIGKILL);
      ::waitpid(children_[i], nullptr, 0);
    }
  }

 private:
  int count_;
  pid_t children_[8] = {};
};

/// An object in memory that is shared with children.
template <class T>
class Shared {
 public:
  Shared()
      : object_(new (::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                    T{}) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(object_, sizeof(T)); }

  T* operator->() noexcept { return object_; }
  T& operator*() noexcept { return *object_; }

 private:
  T* object_;
};

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Locks that processes share, for rivals that keep plain words under one of them.

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <pthread.h>

namespace weir::rivals {

/// The kernel passes it on when its owner dies. A stopped owner keeps it.
class RobustMutex {
 public:
  RobustMutex() noexcept {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }

  void lock() noexcept {
    if (pthread_mutex_lock(&mutex_) == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
  }
  void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_{};
};

/// Test and test-and-set, with a pause. Nobody gets it back from an owner that died.
class SpinLock {
 public:
  void lock() noexcept {
    while (taken_.exchange(1, std::memory_order_acquire) != 0) {
      while (taken_.load(std::memory_order_relaxed) != 0) pause();
    }
  }
  void unlock() noexcept { taken_.store(0, std::memory_order_release); }

 private:
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<std::uint32_t> taken_{0};
};

}  // namespace weir::rivals

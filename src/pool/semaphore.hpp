// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <semaphore.h>

namespace weir::detail {

/// A semaphore of this process, which begins at 0. (std::counting_semaphore of GCC 12 spins before it sleeps, and may
/// sleep for good: GCC bug 104928.)
class Semaphore {
 public:
  Semaphore() noexcept { ::sem_init(&semaphore_, 0, 0); }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { ::sem_destroy(&semaphore_); }

  void post() noexcept { ::sem_post(&semaphore_); }
  void wait() noexcept {
    while (::sem_wait(&semaphore_) != 0 && errno == EINTR) continue;
  }

 private:
  ::sem_t semaphore_;
};

}  // namespace weir::detail

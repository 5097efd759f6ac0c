// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <sys/types.h>

namespace captions {

/// What a parent and its workers do.
struct Prefork {
  int workers = 1;
  std::function<void()> work;       ///< in each worker, until SIGTERM
  std::function<void(pid_t)> died;  ///< in the parent, for each worker that has ended, before it is replaced
  std::function<void()> reload;     ///< in the parent, on SIGHUP
  std::function<void()> stop;       ///< in the parent, before it sends SIGTERM to the workers
  std::chrono::seconds grace{5};    ///< from SIGTERM to SIGKILL for a worker that does not end
};

/// Blocks the signals that run_preforked() waits for, so that one which arrives before it is not lost.
void hold_signals() noexcept;

/// Keeps the workers running: one that ends, however it ends, is replaced and named on stderr. Returns when
/// SIGTERM or SIGINT has arrived and all of them are gone. They die with their parent.
void run_preforked(const Prefork& prefork);

}  // namespace captions

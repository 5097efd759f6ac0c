// SPDX-License-Identifier: Apache-2.0
#include "base/standard_error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "weir/error.hpp"

namespace weir::detail {
namespace {

/// While an object of this class lives, no write of its thread can end the process: neither by a signal that
/// a write sends to its own thread (SIGPIPE if the reader has gone, SIGXFSZ if the file may not grow) nor by
/// a cancellation of the thread inside the write.
class HarmlessWrites {
 public:
  HarmlessWrites() noexcept {
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling_);
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGPIPE);
    ::sigaddset(&signals_, SIGXFSZ);
    ::sigemptyset(&pending_before_);
    ::sigpending(&pending_before_);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &mask_before_);
  }
  HarmlessWrites(const HarmlessWrites&) = delete;
  HarmlessWrites& operator=(const HarmlessWrites&) = delete;
  ~HarmlessWrites() {
    // Signals that our writes caused are removed; a signal that was pending before is left to the program.
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      if (::sigismember(&pending_before_, signal) == 1) ::sigdelset(&signals_, signal);
    }
    const timespec at_once{};
    while (::sigtimedwait(&signals_, nullptr, &at_once) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    ::pthread_setcancelstate(cancelling_, nullptr);
  }

 private:
  int cancelling_ = PTHREAD_CANCEL_ENABLE;
  sigset_t signals_{};
  sigset_t pending_before_{};
  sigset_t mask_before_{};
};

}  // namespace

// This uses one write() instead of stdio, because a thread that was stopped inside stdio holds a lock on
// stderr. If the standard error does not take a line at once (a pipe that is not being read), the line is
// lost; the caller never waits.
void write_to_standard_error(std::string_view message) noexcept {
  constexpr std::string_view kPrefix = "weir: ";
  std::array<char, 1024> line;  // shorter than PIPE_BUF, so a pipe that has room takes all of it
  const std::size_t length = std::min(message.size(), line.size() - kPrefix.size() - 1);
  std::memcpy(line.data(), kPrefix.data(), kPrefix.size());
  std::memcpy(line.data() + kPrefix.size(), message.data(), length);
  line[kPrefix.size() + length] = '\n';

  const int error_before = errno;
  const HarmlessWrites harmless;
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0)
    (void)!::write(STDERR_FILENO, line.data(), kPrefix.size() + length + 1);
  errno = error_before;
}

void end_with(const Error& error) noexcept {
  write_to_standard_error(error.message());
  std::abort();
}

}  // namespace weir::detail

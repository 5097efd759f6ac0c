// SPDX-License-Identifier: Apache-2.0
#include "signals.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace weir::shm_inspect {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

Signals::Signals() noexcept {
  ::sigemptyset(&received_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP}) {
    struct sigaction action {};
    // One that the caller ignores (nohup, a background job) stays ignored.
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    ::sigaddset(&received_, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &received_, &before_);
}

Signals::~Signals() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int Signals::wait(steady_clock::time_point until) const noexcept {
  for (;;) {
    const auto left = std::max(nanoseconds(until - steady_clock::now()), nanoseconds(0));
    timespec time{};
    time.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
    time.tv_nsec = static_cast<std::int64_t>(left.count() % 1'000'000'000);
    const int signal = ::sigtimedwait(&received_, nullptr, &time);
    if (signal > 0) return signal;
    if (errno != EINTR) return 0;
  }
}

void Signals::stop() const noexcept {
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTSTP);
  ::raise(SIGTSTP);
  ::pthread_sigmask(SIG_UNBLOCK, &stops, nullptr);  // stops here
  ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
}

}  // namespace weir::shm_inspect

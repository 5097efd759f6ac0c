// SPDX-License-Identifier: Apache-2.0
#include "prefork.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <fmt/format.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "stdio.hpp"

namespace captions {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kEarly = 1s;  // a worker that lives shorter than this died at once
/// The pause before the second restart of a worker that died at once. It doubles with each further one.
constexpr auto kShortestPause = 50ms;
constexpr int kMostDoublings = 6;

/// A seat for one worker, and the history of the workers that had it.
struct Seat {
  pid_t pid = 0;  // 0: empty
  Clock::time_point started;
  Clock::time_point due;  // when an empty seat is filled
  int early_deaths = 0;   // in a row
  std::string last_words;
};

/// The signals that the parent waits for. Blocked throughout, so that none is lost between two waits.
sigset_t awaited_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

/// Waits for one of them; 0: `until` has come.
int await_signal(Clock::time_point until) {
  const auto wait = std::max<std::chrono::nanoseconds>(until - Clock::now(), 0ns);
  const timespec timeout{wait / 1s, (wait % 1s).count()};
  const sigset_t signals = awaited_signals();
  return std::max(::sigtimedwait(&signals, nullptr, &timeout), 0);
}

std::string describe_death(pid_t pid, int status) {
  if (WIFSIGNALED(status)) return fmt::format("worker {} was killed by signal {}", pid, WTERMSIG(status));
  return fmt::format("worker {} ended with status {}", pid, WEXITSTATUS(status));
}

/// What a new child does; never returns.
[[noreturn]] void live(pid_t parent, const std::function<void()>& work) noexcept try {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  // Ctrl-C and a lost terminal reach all of us. The parent answers them: with SIGTERM, and by a reload.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  const sigset_t signals = awaited_signals();
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  work();
  ::_exit(0);
} catch (const std::exception& error) {
  say(fmt::format("worker {}: {}", ::getpid(), error.what()));
  ::_exit(1);
}

void fill(Seat& seat, const std::function<void()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) live(parent, work);
  if (pid < 0) {
    seat.due = Clock::now() + kEarly;
    return;
  }
  seat.pid = pid;
  seat.started = Clock::now();
  if (seat.last_words.empty()) return;
  say(fmt::format("{}; restarted as {}", seat.last_words, pid));
}

void vacate(Seat& seat, int status) {
  const Clock::time_point now = Clock::now();
  seat.early_deaths = now - seat.started < kEarly ? seat.early_deaths + 1 : 0;
  const int doublings = std::min(seat.early_deaths - 2, kMostDoublings);
  seat.due = doublings < 0 ? now : now + kShortestPause * (1 << doublings);
  seat.last_words = describe_death(seat.pid, status);
  seat.pid = 0;
}

void reap(std::vector<Seat>& seats, const std::function<void(pid_t)>& died) {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto holds = [pid](const Seat& seat) { return seat.pid == pid; };
    const auto seat = std::find_if(seats.begin(), seats.end(), holds);
    if (seat == seats.end()) continue;
    died(pid);
    vacate(*seat, status);
  }
}

/// Fills the seats that are due; returns when the next one is.
Clock::time_point fill_due(std::vector<Seat>& seats, const std::function<void()>& work) {
  Clock::time_point next = Clock::now() + 1h;
  for (Seat& seat : seats) {
    if (seat.pid == 0 && seat.due <= Clock::now()) fill(seat, work);
    if (seat.pid == 0) next = std::min(next, seat.due);
  }
  return next;
}

void signal_all(const std::vector<Seat>& seats, int signal) {
  for (const Seat& seat : seats) {
    if (seat.pid != 0) ::kill(seat.pid, signal);
  }
}

void stop(std::vector<Seat>& seats, const Prefork& prefork) {
  const auto any_left = [&] {
    reap(seats, prefork.died);
    return std::any_of(seats.begin(), seats.end(), [](const Seat& seat) { return seat.pid != 0; });
  };
  const auto wait_until = [&](Clock::time_point end) {
    while (any_left()) {
      if (Clock::now() >= end) return false;
      await_signal(end);
    }
    return true;
  };
  signal_all(seats, SIGTERM);
  if (wait_until(Clock::now() + prefork.grace)) return;
  say("a worker did not stop on SIGTERM; killing it");
  signal_all(seats, SIGKILL);
  wait_until(Clock::time_point::max());
}

}  // namespace

void hold_signals() noexcept {
  const sigset_t signals = awaited_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
}

void run_preforked(const Prefork& prefork) {
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignored it would leave nothing to reap
  hold_signals();

  std::vector<Seat> seats(static_cast<std::size_t>(prefork.workers));
  for (;;) {
    const int signal = await_signal(fill_due(seats, prefork.work));
    if (signal == SIGTERM || signal == SIGINT) break;
    if (signal == SIGHUP) prefork.reload();
    reap(seats, prefork.died);
  }
  prefork.stop();
  stop(seats, prefork);
}

}  // namespace captions

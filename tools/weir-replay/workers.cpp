// SPDX-License-Identifier: Apache-2.0
#include "workers.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#include "common/output.hpp"
#include "pipe.hpp"

namespace weir::replay {
namespace {

using Requests = std::span<const TimedRequest>;

// A block is long enough that handing on costs little beside deciding, and short enough that workers take
// many turns.
constexpr std::size_t kBlock = 2048;

// How a worker ends: its exit status.
enum Ending : int {
  kDone = 0,
  kFailed = 1,  // it has said why
  kCutOff = 2,  // another worker ended before it
};

// One worker's position in the ring. Block b belongs to worker b % workers; the worker that has decided block
// b hands the turn on to the worker of block b + 1.
struct Seat {
  Fd from_previous;
  Fd to_next;
  Fd counts;
};

constexpr char kTurn = '.';

int take_turns(const Scenario& scenario, Requests requests, std::size_t worker, std::size_t workers,
               const Seat& seat) {
  Tally tally;
  for (std::size_t begin = worker * kBlock; begin < requests.size(); begin += workers * kBlock) {
    char turn = 0;
    if (!read_exactly(seat.from_previous, &turn, 1)) return kCutOff;
    decide(scenario, requests.subspan(begin, std::min(kBlock, requests.size() - begin)), tally);
    if (begin + kBlock < requests.size() && !write_all(seat.to_next, {&kTurn, 1})) return kCutOff;
  }
  return write_all(seat.counts, encode(tally)) ? kDone : kCutOff;
}

int work(const Scenario& scenario, Requests requests, std::size_t worker, std::size_t workers,
         const Seat& seat) noexcept {
  try {
    return take_turns(scenario, requests, worker, workers, seat);
  } catch (const std::exception& error) {
    tools::complain("weir-replay", fmt::format("worker {} of {}: {}", worker + 1, workers, error.what()));
    return kFailed;
  }
}

// The forked workers and our ends of their pipes.
class Crew {
 public:
  explicit Crew(std::size_t size) : seats_(size), counts_(size) {
    for (std::size_t i = 0; i < size; ++i) {
      Pipe turn = make_pipe();
      Pipe counts = make_pipe();
      seats_[i].to_next = std::move(turn.write_end);
      seats_[(i + 1) % size].from_previous = std::move(turn.read_end);
      seats_[i].counts = std::move(counts.write_end);
      counts_[i] = std::move(counts.read_end);
    }
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() { dismiss(); }

  void start(const Scenario& scenario, Requests requests) {
    const std::size_t size = seats_.size();
    if (!write_all(seats_.back().to_next, {&kTurn, 1})) throw std::runtime_error(std::strerror(errno));
    for (std::size_t i = 0; i < size; ++i) {
      const pid_t pid = ::fork();
      if (pid < 0)
        throw std::runtime_error(fmt::format("fork: {}; use fewer --workers", std::strerror(errno)));
      if (pid == 0) {
        // A worker keeps only its own seat: an end left open here would hide from the others that its worker
        // has died.
        const Seat own = std::move(seats_[i]);
        seats_.clear();
        counts_.clear();
        ::_exit(work(scenario, requests, i, size, own));
      }
      pids_.push_back(pid);
    }
    seats_.clear();
  }

  // The counts of all workers together. It throws if one of them did not finish.
  Tally collect() {
    std::vector<std::string> messages(counts_.size());
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (!read_to_end(counts_[i], messages[i])) throw std::runtime_error(std::strerror(errno));
    }
    if (const auto failure = dismiss()) throw std::runtime_error(*failure);
    Tally sum;
    for (const std::string& message : messages) sum.merge(decode(message));
    return sum;
  }

 private:
  // Waits for all workers. @return the reason of the first that failed by itself.
  std::optional<std::string> dismiss() {
    seats_.clear();  // workers that wait for their turn learn that it will not come
    counts_.clear();
    std::optional<std::string> failure;
    for (std::size_t i = 0; i < pids_.size(); ++i) {
      int status = 0;
      while (::waitpid(pids_[i], &status, 0) < 0 && errno == EINTR) {
      }
      if (!failure) failure = failure_of(i, status);
    }
    pids_.clear();
    return failure;
  }

  [[nodiscard]] std::optional<std::string> failure_of(std::size_t worker, int status) const {
    if (WIFSIGNALED(status)) {
      return fmt::format("worker {} of {} was killed by signal {} ({}); run it again", worker + 1,
                         pids_.size(), WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) == kFailed) {
      return fmt::format("worker {} of {} failed, so there is no answer", worker + 1, pids_.size());
    }
    return {};
  }

  std::vector<pid_t> pids_;
  std::vector<Seat> seats_;
  std::vector<Fd> counts_;
};

}  // namespace

Tally decide_together(const Scenario& scenario, Requests requests, unsigned workers) {
  if (workers == 1) {
    Tally tally;
    decide(scenario, requests, tally);
    return tally;
  }
  std::signal(SIGPIPE, SIG_IGN);  // a write to a worker that died then fails, and does not kill us
  Crew crew(workers);
  crew.start(scenario, requests);
  return crew.collect();
}

}  // namespace weir::replay

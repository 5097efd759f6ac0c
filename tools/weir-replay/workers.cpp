#include "workers.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#include "log_file.hpp"
#include "pipe.hpp"
#include "progress_bar.hpp"

namespace weir::replay {
namespace {

using Blocks = std::vector<std::string_view>;

// Long enough that handing on costs little beside deciding, short enough that workers take many turns.
constexpr std::size_t kBlockBytes = 256 * 1024;

// How a worker ends.
enum Ending : int {
  kDone = 0,
  kFailed = 1,  // and has said why
  kCutOff = 2,  // because another worker ended
};

// One worker's place in the ring. Block b belongs to worker b % workers; whoever has decided block b hands
// the progress on to the worker of block b + 1.
struct Seat {
  Fd from_previous;
  Fd to_next;
  Fd counts;
};

int take_turns(const Scenario& scenario, const Blocks& blocks, std::size_t worker, std::size_t workers,
               const Seat& seat) {
  Replayer replayer(scenario);
  ProgressBar bar(blocks.size());
  for (std::size_t block = worker; block < blocks.size(); block += workers) {
    replayer.read(blocks[block]);
    Progress progress;
    if (!read_exactly(seat.from_previous, reinterpret_cast<char*>(&progress), sizeof progress))
      return kCutOff;
    replayer.decide(progress);
    bar.show(block + 1);
    const std::string_view bytes(reinterpret_cast<const char*>(&progress), sizeof progress);
    if (block + 1 < blocks.size() && !write_all(seat.to_next, bytes)) return kCutOff;
  }
  return write_all(seat.counts, encode(replayer.tally(), scenario.log)) ? kDone : kCutOff;
}

int work(const Scenario& scenario, const Blocks& blocks, std::size_t worker, std::size_t workers,
         const Seat& seat) noexcept {
  try {
    return take_turns(scenario, blocks, worker, workers, seat);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weir-replay: worker {} of {}: {}\n", worker + 1, workers, error.what());
    return kFailed;
  }
}

// The forked workers and the ends of their pipes that are ours.
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

  void start(const Scenario& scenario, const Blocks& blocks) {
    const std::size_t size = seats_.size();
    const Progress nothing_yet;
    const std::string_view bytes(reinterpret_cast<const char*>(&nothing_yet), sizeof nothing_yet);
    if (!write_all(seats_.back().to_next, bytes)) throw std::runtime_error(std::strerror(errno));
    for (std::size_t i = 0; i < size; ++i) {
      const pid_t pid = ::fork();
      if (pid < 0)
        throw std::runtime_error(fmt::format("fork: {}; use fewer --workers", std::strerror(errno)));
      if (pid == 0) {
        // Only its own seat: an end left open here would hide from the others that its worker has died.
        const Seat own = std::move(seats_[i]);
        seats_.clear();
        counts_.clear();
        ::_exit(work(scenario, blocks, i, size, own));
      }
      pids_.push_back(pid);
    }
    seats_.clear();
  }

  // What all of them counted. Throws when one of them did not come to its end.
  Tally collect(std::string_view log) {
    std::vector<std::string> messages(counts_.size());
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (!read_to_end(counts_[i], messages[i])) throw std::runtime_error(std::strerror(errno));
    }
    if (const auto failure = dismiss()) throw std::runtime_error(*failure);
    Tally sum;
    for (const std::string& message : messages) sum.merge(decode(message, log));
    return sum;
  }

 private:
  // Waits for all of them; the reason of the first that failed by itself.
  std::optional<std::string> dismiss() {
    seats_.clear();  // who waits for its turn learns that it will not come
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

Tally replay_alone(const Scenario& scenario, const Blocks& blocks) {
  Replayer replayer(scenario);
  ProgressBar bar(blocks.size());
  Progress progress;
  for (std::size_t block = 0; block < blocks.size(); ++block) {
    replayer.read(blocks[block]);
    replayer.decide(progress);
    bar.show(block + 1);
  }
  return std::move(replayer.tally());
}

}  // namespace

Tally replay_log(const Scenario& scenario, unsigned workers) {
  const Blocks blocks = split_into_blocks(scenario.log, kBlockBytes);
  if (workers == 1) return replay_alone(scenario, blocks);
  std::signal(SIGPIPE, SIG_IGN);  // a write to a worker that died is an answer, not an end
  Crew crew(workers);
  crew.start(scenario, blocks);
  return crew.collect(scenario.log);
}

}  // namespace weir::replay

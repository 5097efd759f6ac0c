#pragma once

// Puts the requests of a log before a limiter, each at its own time.

#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"

#include "access_log.hpp"
#include "tally.hpp"

namespace weir::replay {

/// What is asked, and of whom: the same for all workers.
struct Scenario {
  Limiter& limiter;
  Operation operation;
  HostClock::time_point start;  ///< the host's time that stands for the log's first request
  std::string_view log;
  std::FILE* decisions = nullptr;  ///< one line for each request, unless null
};

/// Replays one block of lines after the other. Reading a block needs nothing of the blocks before it, so that
/// workers read theirs side by side; deciding goes on where the block before it ended.
class Replayer {
 public:
  explicit Replayer(const Scenario& scenario) : scenario_(scenario) {}

  void read(std::string_view block);

  /// Decides what `read` found, in the order of the log.
  /// Throws std::runtime_error when a request lies too far after the first, or the decisions cannot be
  /// written.
  void decide(Progress& progress);

  [[nodiscard]] Tally& tally() noexcept { return tally_; }

 private:
  struct Request {
    LogEntry entry;
    std::uint64_t line;  ///< counted from the block's first, which is 1
  };

  void decide_one(const Request& request, Progress& progress);
  void write_decision(std::uint64_t line, const Decision& decision);

  const Scenario& scenario_;
  LogParser parser_;
  std::vector<Request> requests_;
  std::uint64_t lines_ = 0;
  std::uint64_t unparsed_ = 0;
  std::uint64_t first_unparsed_line_ = 0;
  std::string_view first_unparsed_;
  Tally tally_;
};

/// The name of a limit, or "-" for none.
[[nodiscard]] std::string name_of(const Limiter& limiter, LimitId limit);

}  // namespace weir::replay

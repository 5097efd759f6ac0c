#pragma once

// Puts the requests of a log before a limiter, each at its own time.

#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "log_source.hpp"
#include "names.hpp"
#include "tally.hpp"
#include "timeline.hpp"

namespace weir::replay {

/// What is asked, and of which limiter: the same for all workers.
struct Scenario {
  Limiter& limiter;
  const std::vector<Operation>& operations;  ///< by Routes::Number
  const Names& names;
  const std::vector<LogSource>& logs;
  std::FILE* decisions = nullptr;  ///< one line for each request, unless null
};

/// What of a configuration a log can try. It does not say how long a request took or whether it failed, so
/// that permits and breakers are left out: they could only be told that every request ended at once.
[[nodiscard]] Config without_permits_and_breakers(Config config);

/// A limiter whose clock is that of a log: the same log is decided in the same way at every run.
/// Throws std::runtime_error when there is no memory for it.
[[nodiscard]] Limiter open_limiter(const Config& config, LogTime first);

/// Decides requests in their order.
/// Throws std::runtime_error when the decisions cannot be written.
void decide(const Scenario& scenario, std::span<const TimedRequest> requests, Tally& tally);

/// The name of a limit, or "-" for none.
[[nodiscard]] std::string name_of(const Limiter& limiter, LimitId limit);

}  // namespace weir::replay

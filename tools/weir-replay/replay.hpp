// SPDX-License-Identifier: Apache-2.0
#pragma once

// Asks a limiter for each request of a log, at the request's own time.

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

/// What to decide, and by which limiter: the same for all workers.
struct Scenario {
  Limiter& limiter;
  const std::vector<Operation>& operations;  ///< by Routes::Number
  const Names& names;
  const std::vector<LogSource>& logs;
  std::FILE* decisions = nullptr;  ///< one line for each request, unless null
};

/// The part of a configuration that a log can try. A log does not say how long a request took or whether it
/// failed, so permits and breakers are left out: they could only be told that every request ended at once.
[[nodiscard]] Config without_permits_and_breakers(Config config);

/// A limiter whose clock is that of a log, so that the same log is decided in the same way in every run.
/// Throws std::runtime_error if there is not enough memory.
[[nodiscard]] Limiter open_limiter(const Config& config, LogTime first);

/// Decides requests in the given order.
/// Throws std::runtime_error if the decisions cannot be written.
void decide(const Scenario& scenario, std::span<const TimedRequest> requests, Tally& tally);

/// The name of a limit, or "-" for none.
[[nodiscard]] std::string name_of(const Limiter& limiter, LimitId limit);

}  // namespace weir::replay

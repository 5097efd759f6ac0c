#pragma once

// Divides a replay among forked processes, as a preforked server divides its requests.

#include "replay.hpp"
#include "tally.hpp"

namespace weir::replay {

/// Decides requests with `workers` processes (1: this one). They decide in the order of the log, through the
/// one segment that they share, so their number changes nothing in the answer. Throws std::runtime_error when
/// a worker fails or dies; none is left behind.
[[nodiscard]] Tally decide_together(const Scenario& scenario, std::span<const TimedRequest> requests,
                                    unsigned workers);

}  // namespace weir::replay

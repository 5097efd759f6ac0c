// SPDX-License-Identifier: Apache-2.0
#pragma once

// Divides a replay among forked processes, as a preforked server divides its requests.

#include "replay.hpp"
#include "tally.hpp"

namespace weir::replay {

/// Decides requests with `workers` processes (1: only this one). They decide in the order of the log, through
/// the one segment that they share, so their number does not change the answer. Throws std::runtime_error if
/// a worker fails or dies; no worker is left behind.
[[nodiscard]] Tally decide_together(const Scenario& scenario, std::span<const TimedRequest> requests,
                                    unsigned workers);

}  // namespace weir::replay

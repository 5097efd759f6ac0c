// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weir/decision.hpp"

#include "limiter/context.hpp"

namespace weir::detail {

/// What is left of each rate and window that a request passes, for this process: what it has taken in advance counts.
/// They come block by block, the global one first.
[[nodiscard]] std::vector<Quota> quotas_of(const Context& context);

}  // namespace weir::detail

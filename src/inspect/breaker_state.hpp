// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/inspect.hpp"

#include "primitives/breaker_phase.hpp"

namespace weir::detail {

/// What people call the state of a breaker.
[[nodiscard]] inline BreakerState state_of(BreakerKind kind) noexcept {
  switch (kind) {
    case BreakerKind::closed:
      return BreakerState::closed;
    case BreakerKind::forced_closed:
      return BreakerState::forced_closed;
    case BreakerKind::metrics_only:
      return BreakerState::metrics_only;
    case BreakerKind::disabled:
      return BreakerState::disabled;
    case BreakerKind::open:
      return BreakerState::open;
    case BreakerKind::half_open:
      return BreakerState::half_open;
    case BreakerKind::forced_open:
      return BreakerState::forced_open;
  }
  return BreakerState::closed;  // the word is damaged
}

}  // namespace weir::detail

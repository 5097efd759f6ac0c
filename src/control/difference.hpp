// SPDX-License-Identifier: Apache-2.0
#pragma once

// What differs between a configuration and what a segment enforces. What opening does about it:
// binding/reconcile.hpp.

#include <vector>

#include "weir/config.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"

namespace weir::detail {

/// What differs in limits, and in settings of the segment that limits depend on.
[[nodiscard]] std::vector<ConfigChange> difference_between(const Config& now, const Config& wanted);

/// Whether a configuration leaves alone what was decided when the segment was made: what it has room for.
/// Errors  Errc::conflict, naming the setting.
[[nodiscard]] Result<void> same_settings(const SegmentPolicy& segment, SegmentPolicy wanted);

}  // namespace weir::detail

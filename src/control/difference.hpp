// SPDX-License-Identifier: Apache-2.0
#pragma once

// The difference between a configuration and what a segment enforces. What opening does about it:
// binding/reconcile.hpp.

#include <vector>

#include "weir/config.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"

namespace weir::detail {

/// The differences in limits, and in settings of the segment that limits depend on.
[[nodiscard]] std::vector<ConfigChange> difference_between(const Config& now, const Config& wanted);

/// Checks that a configuration does not change a setting that is fixed when the segment is made, such as its room.
/// Errors  Errc::conflict, naming the setting.
[[nodiscard]] Result<void> same_settings(const SegmentPolicy& segment, SegmentPolicy wanted);

}  // namespace weir::detail

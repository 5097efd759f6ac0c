// SPDX-License-Identifier: Apache-2.0
#pragma once

// What opening does where a running segment enforces other limits than the configuration asks for.
//
// The limits may have been changed live, and a worker that restarts must neither bring the old ones back nor stay
// down. So it goes on with those of the segment, says in the log what differs, and notes it in the segment for
// `shm-inspect status`. With `segment.on_difference` it refuses, or applies its configuration as a live change.

#include "weir/policy.hpp"

#include "base/result.hpp"

namespace weir::detail {

/// Errors  Errc::conflict: limits differ, and the configuration says "refuse"; with "apply" as apply_config().
[[nodiscard]] Result<void> reconcile(const Config& config);

}  // namespace weir::detail

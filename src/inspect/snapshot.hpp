// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/inspect.hpp"

#include "base/result.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

/// Copies the state of a segment that is mapped already. It only reads.
/// Errors  Errc::damaged.
[[nodiscard]] Result<Snapshot> read_snapshot(const Segment& segment);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/inspect.hpp"

#include "captions.hpp"

namespace captions {

/// What a dashboard of this service shows, in a shape of its own: {timestamp, overall, by_operation, alerts}. Response
/// times are in seconds; a rate lies between 0 and 1, and is null if no call has ended yet.
[[nodiscard]] Json dashboard_of(const weir::Snapshot& snapshot);

}  // namespace captions

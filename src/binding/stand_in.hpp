// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process decides over while the segment of its configuration cannot be used.
//
// A stand-in is a segment without a name, of this process and its children. With `on_fault = "admit"` it has no
// limits at all. With "local" each limit is this process's share: the limit divided by `local_workers`, and at least
// 1, so that all workers together admit about what the segment would. Queues are not divided: they admit nothing.

#include "weir/policy.hpp"

#include "base/result.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

/// A process may have little address space (RLIMIT_AS), and the table of users may be large. Where there is no memory
/// for all users of the configuration, the stand-in knows fewer of them.
/// Errors  as publish_segment().
[[nodiscard]] Result<Segment> publish_stand_in(const Config& config);

}  // namespace weir::detail

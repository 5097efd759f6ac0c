// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "weir/policy.hpp"

#include "base/result.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

// Making a segment for a configuration, and attaching to one that another process made.

/// A new segment that enforces `config`; without a name it is shared with forked children only.
/// Errors  Errc::conflict if the name is taken, and as Segment::publish.
[[nodiscard]] Result<Segment> publish_segment(
    const Config& config, std::string_view name,
    const std::optional<SegmentBeginning>& beginning = std::nullopt);

/// The segment that `config` names, if its owner, group and mode are those that `config` expects.
/// Errors  as Segment::attach.
[[nodiscard]] Result<Segment> attach_existing(const Config& config);

/// Attaches to the segment that `config` names, or publishes it. If many processes start at once, one of them
/// publishes, and the others attach to its segment. It gives up only if the segment is removed again and again.
/// Errors  as attach_existing() and publish_segment().
[[nodiscard]] Result<Segment> attach_or_publish(const Config& config);

}  // namespace weir::detail

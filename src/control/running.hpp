// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment that workers use, opened by a process that changes its limits.

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "policy/schema.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

struct RunningSegment {
  Segment segment;
  Sections sections;
  KeyHasher hasher;
  std::uint64_t now;  ///< when it was opened, in ticks

  [[nodiscard]] static Result<RunningSegment> open(std::string_view name) {
    WEIR_TRY(auto segment, Segment::attach(name, OpenMode::read_write, kAbiFingerprint));
    WEIR_TRY(const auto sections, Sections::of(segment));
    const KeyHasher hasher(segment.header().secret);
    const std::uint64_t now = ticks_at(segment.header(), HostClock::now());
    return RunningSegment{std::move(segment), sections, hasher, now};
  }

  [[nodiscard]] std::uint64_t ticks_now() const noexcept {
    return ticks_at(segment.header(), HostClock::now());
  }
};

}  // namespace weir::detail

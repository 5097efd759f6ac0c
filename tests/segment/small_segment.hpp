// SPDX-License-Identifier: Apache-2.0
#pragma once

// The small segment that the tests of this layer publish and attach to.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

inline constexpr std::uint64_t kAbi = 4711;
inline constexpr SectionSpec kSections[] = {{1, 8, 100, true}, {2, 64, 10, false}};

inline PublishSpec spec_of(const std::string& name) {
  return {.name = name,
          .mode = 0600,
          .group = {},
          .reserve = true,
          .abi_fingerprint = kAbi,
          .sections = kSections};
}

inline void fill_with_sevens(const Segment& segment) {
  const std::span<std::byte> bytes = segment.section(1, 8);
  std::fill(bytes.begin(), bytes.end(), std::byte{7});
}

inline Result<Segment> attach(const std::string& name) {
  return Segment::attach(name, OpenMode::read_write, kAbi);
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "segment/layout.hpp"

namespace weir::detail {

/// A file that has the name of a segment.
struct SegmentFile {
  std::string name;
  std::uint32_t layout_version = 0;
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;  ///< permission bits
  std::uint64_t bytes = 0;
};

/// The segments of this host, of any layout version, by name.
[[nodiscard]] std::vector<SegmentFile> segment_files();

/// Names that exist under this layout version, the nearest to `missing` first, for a hint: "a, b and 3 more";
/// empty if there are none.
[[nodiscard]] std::string names_beside(std::string_view missing);

}  // namespace weir::detail

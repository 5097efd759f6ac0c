// SPDX-License-Identifier: Apache-2.0
#include "control/difference.hpp"

#include <fmt/format.h>

#include "policy/compile.hpp"

namespace weir::detail {

std::vector<ConfigChange> difference_between(const Config& now, const Config& wanted) {
  Config target = canonical(wanted);
  target.segment.name = now.segment.name;
  target.segment.mode = now.segment.mode;
  target.segment.group = now.segment.group;
  target.segment.reserve = now.segment.reserve;
  target.segment.huge_pages = now.segment.huge_pages;
  target.segment.on_fault = now.segment.on_fault;
  target.segment.on_difference = now.segment.on_difference;
  target.segment.local_workers = now.segment.local_workers;
  return config_difference(now, target);
}

// Name, mode and group are not compared: an administrator may have changed them.
Result<void> same_settings(const SegmentPolicy& segment, SegmentPolicy wanted) {
  wanted.name = segment.name;
  wanted.mode = segment.mode;
  wanted.group = segment.group;
  wanted.reserve = segment.reserve;
  wanted.huge_pages = segment.huge_pages;
  wanted.on_difference = segment.on_difference;
  if (wanted == segment) return {};
  Config before;
  Config after;
  before.segment = segment;
  after.segment = wanted;
  const auto differs = config_difference(before, after);
  const std::string what = differs.empty() ? std::string("segment settings")
                                           : fmt::format("{}: segment {}, configuration {}", differs[0].key,
                                                         differs[0].from, differs[0].to);
  return fail(Errc::conflict, fmt::format("segment \"{}\": {}: fixed when it was made", segment.name, what),
              fmt::format("leave it as it is, or remove the segment with: shm-inspect --segment {} remove",
                          segment.name));
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "segment/list.hpp"

#include <algorithm>
#include <exception>

#include "weir/inspect.hpp"

#include "base/result.hpp"
#include "policy/schema.hpp"
#include "workers/registry.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers

Result<std::uint32_t> living_workers(const std::string& name) {
  const auto segment = Segment::attach(name, OpenMode::read_only, kAbiFingerprint);
  if (!segment) return segment.error();
  const auto sections = SectionsView::of(*segment);
  if (!sections) return sections.error();
  const WorkerView workers(sections->workers, *segment);
  std::uint32_t living = 0;
  for (std::uint32_t slot = 0; slot < workers.size(); ++slot) {
    const SlotIdentity tenant = workers.identity(slot);
    if (tenant.published && !workers.is_dead(slot, tenant)) ++living;
  }
  return living;
}

}  // namespace

Result<std::vector<SegmentEntry>> list_segments() noexcept {
  return guarded([&]() -> Result<std::vector<SegmentEntry>> {
    std::vector<SegmentEntry> entries;
    for (SegmentFile& file : segment_files()) {
      SegmentEntry entry{.name = std::move(file.name),
                         .layout_version = file.layout_version,
                         .owner = file.owner,
                         .group = file.group,
                         .mode = file.mode,
                         .bytes = file.bytes,
                         .workers = 0,
                         .problem = {}};
      if (entry.layout_version != kLayoutVersion) {
        entry.problem = "made by another version of weir";
      } else if (const auto living = living_workers(entry.name)) {
        entry.workers = *living;
      } else {
        entry.problem = living.error().what;
      }
      entries.push_back(std::move(entry));
    }
    return entries;
  });
}

}  // namespace weir

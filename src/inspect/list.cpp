// SPDX-License-Identifier: Apache-2.0
#include "segment/list.hpp"

#include <algorithm>
#include <exception>

#include "weir/inspect.hpp"

#include "base/result.hpp"
#include "inspect/header_text.hpp"
#include "policy/schema.hpp"
#include "segment/files.hpp"
#include "workers/registry.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers

/// Fills in what only the segment itself tells.
Result<void> look_into(SegmentEntry& entry) {
  const auto segment = Segment::attach(entry.name, OpenMode::read_only, kAbiFingerprint);
  if (!segment) return segment.error();
  const auto sections = SectionsView::of(*segment);
  if (!sections) return sections.error();
  const WorkerView workers(sections->workers, *segment);
  for (std::uint32_t slot = 0; slot < workers.size(); ++slot) {
    const SlotIdentity tenant = workers.identity(slot);
    if (tenant.published && !workers.is_dead(slot, tenant)) ++entry.workers;
  }
  entry.uuid = uuid_text(segment->header().uuid);
  entry.created = creation_of(segment->header());
  return {};
}

}  // namespace

Result<std::vector<SegmentEntry>> list_segments() noexcept {
  return guarded([&]() -> Result<std::vector<SegmentEntry>> {
    std::vector<SegmentEntry> entries;
    for (SegmentFile& file : segment_files()) {
      SegmentEntry entry;
      entry.name = std::move(file.name);
      entry.layout_version = file.layout_version;
      entry.library_version = maker_of(entry.name, entry.layout_version);
      entry.owner = file.owner;
      entry.group = file.group;
      entry.mode = file.mode;
      entry.bytes = file.bytes;
      if (entry.layout_version != kLayoutVersion) {
        entry.problem = "another layout; " + hint_to_maker(entry.name, entry.layout_version);
      } else if (const Result<void> looked = look_into(entry); !looked) {
        entry.problem = looked.error().message();
      }
      entries.push_back(std::move(entry));
    }
    return entries;
  });
}

}  // namespace weir

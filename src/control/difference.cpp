// SPDX-License-Identifier: Apache-2.0
#include "control/difference.hpp"

#include <chrono>
#include <fmt/format.h>
#include <thread>

#include "control/change.hpp"
#include "control/history.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"
#include "segment/mapping.hpp"

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

std::vector<ConfigChange> note_difference(std::string_view segment, const Config& config) {
  auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
  if (!attached) return {};
  auto sections = SectionsView::of(*attached);
  if (!sections) return {};
  std::vector<ConfigChange> differs = difference_between(load_config(*sections, attached->name()), config);
  const bool noted = sections->difference->sequence.load(std::memory_order_relaxed) != 0;
  if (differs.empty() && !noted) return differs;
  // Where another process is changing limits just now, what it leaves will be noted by the next one that
  // opens.
  if (auto change = Change::begin(segment)) {
    const Sections& its = change->sections();
    note(*its.difference, differs, its.control->generation.load(std::memory_order_relaxed));
  }
  return differs;
}

Result<void> apply_limits(std::string_view segment, const Config& config) {
  constexpr int kAttempts = 500;
  for (int attempt = 0;; ++attempt) {
    auto change = Change::begin(segment);
    if (!change) {
      if (change.error().code != Errc::conflict || attempt == kAttempts) return change.error();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it applies the same, as a rule
      continue;
    }
    Config wanted = config;
    wanted.segment = change->current().segment;
    WEIR_TRY_VOID(change->apply(wanted, false));
    return {};
  }
}

}  // namespace weir::detail

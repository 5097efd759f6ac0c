// SPDX-License-Identifier: Apache-2.0
#include "binding/reconcile.hpp"

#include <chrono>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "weir/config.hpp"
#include "weir/log.hpp"

#include "control/change.hpp"
#include "control/difference.hpp"
#include "control/history.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {
namespace {

/// Makes the segment enforce the limits of a configuration, whatever its settings of the segment are.
Result<void> apply_limits(std::string_view segment, const Config& config) {
  constexpr int kAttempts = 500;
  for (int attempt = 0;; ++attempt) {
    auto change = Change::begin(segment);
    if (!change) {
      if (change.error().code != Errc::conflict || attempt == kAttempts) return change.error();
      // Most often another worker that has just started applies the same limits.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    Config wanted = config;
    wanted.segment = change->current().segment;
    WEIR_TRY_VOID(change->apply(wanted, false));
    return {};
  }
}

/// What differs, noted in the segment for shm-inspect status.
std::vector<ConfigChange> note_difference(std::string_view segment, const Config& config) {
  auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
  if (!attached) return {};
  auto sections = SectionsView::of(*attached);
  if (!sections) return {};
  std::vector<ConfigChange> differs = difference_between(load_config(*sections, attached->name()), config);
  const bool noted = sections->difference->sequence.load(std::memory_order_relaxed) != 0;
  if (differs.empty() && !noted) return differs;
  // If another process is changing limits just now, the next one that opens it notes what still differs.
  if (auto change = Change::begin(segment)) {
    const Sections& its = change->sections();
    note(*its.difference, differs, its.control->generation.load(std::memory_order_relaxed));
  }
  return differs;
}

}  // namespace

Result<void> reconcile(const Config& config) {
  const std::string& name = config.segment.name;
  if (config.segment.on_difference == OnDifference::apply) {
    WEIR_TRY_VOID(apply_limits(name, config));
  }
  const std::vector<ConfigChange> differs = note_difference(name, config);
  if (differs.empty()) return {};
  const std::string fact = fmt::format(
      "segment \"{}\": enforces other limits than the configuration: {} values differ, the first is {}: "
      "segment {}, configuration {}",
      name, differs.size(), differs[0].key, differs[0].from, differs[0].to);
  if (config.segment.on_difference == OnDifference::refuse)
    return fail(Errc::conflict, fact, "apply it with: shm-inspect apply, or remove the segment");
  log(fmt::format(
      "{}; it goes on with those of the segment; to apply the configuration: shm-inspect apply, or "
      "segment.on_difference = \"apply\"",
      fact));
  return {};
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/report.hpp"
#include "weir/text.hpp"
#include "weir/text_table.hpp"

#include "common/failure.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

std::string render_text(const Snapshot& snapshot, bool colours) {
  return tools::taken(to_text(snapshot, colours));
}

std::string render_users(const std::vector<UserEntry>& entries, bool colours) {
  if (entries.empty()) return "nothing is held against any user\n";
  TextTable table({"USER", "LIMIT", "LEFT", "HELD", "WAITING", "RETRY AFTER"});
  for (const UserEntry& entry : entries) {
    table.add({printable(entry.user) + (entry.name == NameKind::cut ? "... (cut)" : ""),
               printable(entry.limit), fmt::format("{}/{}", entry.available, entry.of),
               entry.permits == 0 ? "-" : std::to_string(entry.permits),
               entry.waiting == 0 ? "-" : std::to_string(entry.waiting),
               entry.retry_after.count() == 0 ? "now" : format_duration(entry.retry_after)},
              entry.retry_after.count() != 0);
  }
  return table.text(colours);
}

std::string render_changes(const ChangeReport& report, bool dry_run) {
  std::string text;
  for (const std::uint64_t generation : report.resets)
    text += fmt::format("generation {} was a reset: what it forgot does not come back\n", generation);
  if (report.changes.empty()) return text + "no changes: these limits are already in force\n";
  for (const ConfigChange& change : report.changes) {
    text +=
        fmt::format("{}: {} -> {}\n", printable(change.key), printable(change.from), printable(change.to));
  }
  return text +
         (dry_run ? "nothing was changed (--dry-run)\n" : fmt::format("generation {}\n", report.generation));
}

std::string render_history(const std::vector<ChangeEntry>& entries) {
  if (entries.empty()) return "nothing was changed since the segment was made\n";
  TextTable table({"GENERATION", "WHEN (UTC)", "WHO", "WHAT", "FROM", "TO"});
  for (const ChangeEntry& entry : entries) {
    const auto when = fmt::gmtime(std::chrono::system_clock::to_time_t(entry.when));
    const std::string generation = std::to_string(entry.generation);
    table.add(
        {entry.undoes == 0 ? generation : fmt::format("{} (takes back to {})", generation, entry.undoes - 1),
         fmt::format("{:%Y-%m-%d %H:%M:%S}", when),
         fmt::format("{} pid {} uid {}", printable(entry.program), entry.pid, entry.uid),
         printable(entry.change.key), printable(entry.change.from), printable(entry.change.to)});
  }
  return table.text(false);
}

std::string render_workers(const Snapshot& snapshot, bool colours) {
  return tools::taken(to_workers_text(snapshot, colours));
}

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/text.hpp"

#include "field_table.hpp"
#include "render.hpp"
#include "text_table.hpp"

namespace weir::shm_inspect {
namespace {

std::string header(const Snapshot& snapshot) {
  const auto age = std::chrono::system_clock::now() - snapshot.created;
  return fmt::format(
      "segment \"{}\"  layout {}  {}  generation {}  created {:%Y-%m-%d %H:%M:%S} UTC ({} ago)  by weir "
      "{}\nuuid {}\n",
      printable(snapshot.segment), snapshot.layout_version, size_text(snapshot.bytes), snapshot.generation,
      fmt::gmtime(std::chrono::system_clock::to_time_t(snapshot.created)), format_duration(age),
      printable(snapshot.library_version), printable(snapshot.uuid));
}

std::string difference(const Snapshot& snapshot, bool colours) {
  if (!snapshot.difference) return {};
  const DifferenceStatus& differs = *snapshot.difference;
  const std::string line = fmt::format(
      "!! {} (pid {}) opened this segment with another configuration: {} values differ, the first is {}: "
      "here {}, "
      "there {}; to change it: shm-inspect apply",
      printable(differs.program), differs.pid, grouped(differs.values), printable(differs.key),
      printable(differs.here), printable(differs.there));
  return (colours ? "\x1b[1;31m" + line + "\x1b[0m" : line) + "\n";
}

/// The tables of all limits and breakers, and of those that only count once more.
std::string limits(const Snapshot& snapshot, bool colours) {
  std::string text;
  const auto add = [&](const auto& part) {
    const std::string table = field_table(part, part.rows(snapshot), colours);
    if (!table.empty()) text += "\n" + table;
  };
  for_each_part([&](const auto& part) {
    // Workers and waiters have a screen of their own.
    if (!part.title.empty() && part.key != kWorkers.key && part.key != kWaiters.key) add(part);
  });
  add(kCountingLimits);
  return text.empty() ? "\nno limits\n" : text;
}

std::string worker_line(const Snapshot& snapshot) {
  const auto dead =
      std::ranges::count_if(snapshot.workers, [](const WorkerStatus& worker) { return worker.dead; });
  return fmt::format(
      "\nworkers: {} of {} slots taken, {} of them dead\n"
      "         swept so far: {} workers, {} permits; {} late releases\n",
      snapshot.workers.size(), snapshot.worker_slots, dead, grouped(snapshot.swept.workers),
      grouped(snapshot.swept.permits), grouped(snapshot.swept.late_releases));
}

std::string warning(std::uint64_t count, std::string_view fact, bool colours) {
  if (count == 0) return {};
  const std::string line = fmt::format("!! {} {}: raise segment.users", grouped(count), fact);
  return (colours ? "\x1b[1;31m" + line + "\x1b[0m" : line) + "\n";
}

std::string user_table(const Snapshot& snapshot, bool colours) {
  const UserTableStatus& table = snapshot.table;
  if (table.capacity == 0) return {};
  const double percent = 100.0 * static_cast<double>(table.occupied) / static_cast<double>(table.capacity);
  return fmt::format(
             "\nuser table: {} of {} entries taken ({:.1f} %), {} active; when full: {}\n"
             "            {} evicted, {} refused, {} unlimited\n",
             grouped(table.occupied), grouped(table.capacity), percent, grouped(table.active),
             to_string(snapshot.config.segment.when_full), grouped(table.evicted), grouped(table.refused),
             grouped(table.unlimited)) +
         warning(table.evicted, "users were forgotten while they still owed something", colours) +
         warning(table.refused, "requests were refused because the user table was full", colours) +
         warning(table.unlimited, "requests passed without their user's limits, the user table being full",
                 colours);
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB"};
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string render_text(const Snapshot& snapshot, bool colours) {
  return header(snapshot) + difference(snapshot, colours) + limits(snapshot, colours) +
         user_table(snapshot, colours) + worker_line(snapshot);
}

std::string render_users(const std::vector<UserEntry>& entries, bool colours) {
  if (entries.empty()) return "nothing is held against any user\n";
  TextTable table({"USER", "LIMIT", "LEFT", "HELD", "RETRY AFTER"});
  for (const UserEntry& entry : entries) {
    table.add({printable(entry.user) + (entry.name == NameKind::cut ? "... (cut)" : ""),
               printable(entry.limit), fmt::format("{}/{}", entry.available, entry.of),
               entry.permits == 0 ? "-" : std::to_string(entry.permits),
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
  const bool dead = std::ranges::any_of(snapshot.workers, &WorkerStatus::dead);
  const std::string waiters = field_table(kWaiters, snapshot.waiters, colours);
  return field_table(kWorkers, snapshot.workers, colours) + (waiters.empty() ? "" : "\n" + waiters) +
         (dead ? "dead: shm-inspect reap returns what they hold, before a request needs it\n" : "") +
         worker_line(snapshot);
}

}  // namespace weir::shm_inspect

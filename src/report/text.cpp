// SPDX-License-Identifier: Apache-2.0

// A snapshot as a screen of text.

#include "weir/text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/field_table.hpp"
#include "weir/fields.hpp"
#include "weir/report.hpp"

#include "base/result.hpp"

namespace weir {
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

Result<std::string> to_text(const Snapshot& snapshot, bool colours) noexcept {
  return detail::guarded([&]() -> Result<std::string> {
    return header(snapshot) + difference(snapshot, colours) + limits(snapshot, colours) +
           user_table(snapshot, colours) + worker_line(snapshot);
  });
}

Result<std::string> to_workers_text(const Snapshot& snapshot, bool colours) noexcept {
  return detail::guarded([&]() -> Result<std::string> {
    const bool dead = std::ranges::any_of(snapshot.workers, &WorkerStatus::dead);
    const std::string waiters = field_table(kWaiters, snapshot.waiters, colours);
    return field_table(kWorkers, snapshot.workers, colours) + (waiters.empty() ? "" : "\n" + waiters) +
           (dead ? "dead: shm-inspect reap returns what they hold, before a request needs it\n" : "") +
           worker_line(snapshot);
  });
}

}  // namespace weir

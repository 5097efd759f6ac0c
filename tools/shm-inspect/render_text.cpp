#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/text.hpp"

#include "render.hpp"
#include "text_table.hpp"

namespace weir::shm_inspect {
namespace {

/// "1,000,000"
std::string grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string bar(std::uint64_t part, std::uint64_t whole) {
  constexpr std::uint64_t kWidth = 10;
  const auto share = static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(whole, 1));
  const std::uint64_t full = std::min(static_cast<std::uint64_t>(share * kWidth), kWidth);
  const std::uint64_t shown =
      std::max<std::uint64_t>(full, part > 0 ? 1 : 0);  // not empty while anything is left
  return fmt::format("[{:#<{}}{:.<{}}]", "", shown, "", kWidth - shown);
}

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

std::string shared_limits(const Snapshot& snapshot, bool colours) {
  if (snapshot.shared.empty()) return "no rates over all callers\n";
  TextTable table({"LIMITS OVER ALL CALLERS", "RATE", "AVAILABLE", "", "FULL IN"});
  for (const SharedLimitStatus& limit : snapshot.shared) {
    table.add(
        {printable(limit.name), format_rate(limit.rate),
         fmt::format("{}/{}", limit.available, limit.rate.burst), bar(limit.available, limit.rate.burst),
         limit.full_in.count() == 0 ? "full" : format_duration(limit.full_in)},
        limit.available == 0);
  }
  return table.text(colours);
}

std::string user_limits(const Snapshot& snapshot, bool colours) {
  if (snapshot.users.empty()) return "no rates per user\n";
  TextTable table({"LIMITS OF EACH USER", "RATE", "ACTIVE USERS", "EXHAUSTED"});
  for (const UserLimitStatus& limit : snapshot.users) {
    table.add(
        {printable(limit.name), format_rate(limit.rate), grouped(limit.active), grouped(limit.exhausted)},
        limit.exhausted > 0);
  }
  return table.text(colours);
}

std::string permits(const Snapshot& snapshot, bool colours) {
  std::string text;
  if (!snapshot.shared_permits.empty()) {
    TextTable table({"PERMITS OVER ALL CALLERS", "IN USE"});
    for (const SharedPermitStatus& limit : snapshot.shared_permits) {
      table.add({printable(limit.name), fmt::format("{}/{}", limit.in_use, limit.limit),
                 bar(limit.in_use, limit.limit)},
                limit.in_use >= limit.limit);
    }
    text += "\n" + table.text(colours);
  }
  if (!snapshot.user_permits.empty()) {
    TextTable table({"PERMITS OF EACH USER", "LIMIT", "USERS HOLDING", "IN USE"});
    for (const UserPermitStatus& limit : snapshot.user_permits) {
      table.add({printable(limit.name), grouped(limit.limit), grouped(limit.users), grouped(limit.in_use)});
    }
    text += "\n" + table.text(colours);
  }
  return text;
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

std::string_view to_string(TableFull policy) noexcept {
  switch (policy) {
    case TableFull::evict:
      return "evict";
    case TableFull::refuse:
      return "refuse";
    case TableFull::admit:
      return "admit";
  }
  return "unknown";
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB"};
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string render_text(const Snapshot& snapshot, bool colours) {
  return header(snapshot) + difference(snapshot, colours) + "\n" + shared_limits(snapshot, colours) + "\n" +
         user_limits(snapshot, colours) + permits(snapshot, colours) + render_guards(snapshot, colours) +
         user_table(snapshot, colours) + worker_line(snapshot);
}

std::string render_history(const std::vector<ChangeEntry>& entries) {
  if (entries.empty()) return "no limit was changed since the segment was made\n";
  TextTable table({"GENERATION", "WHEN (UTC)", "WHO", "LIMIT", "FROM", "TO"});
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
  TextTable table({"SLOT", "PID", "NAME", "SINCE", "PERMITS", "OLDEST", ""});
  for (const WorkerStatus& worker : snapshot.workers) {
    table.add({std::to_string(worker.slot), std::to_string(worker.pid), printable(worker.name),
               format_duration(worker.since), grouped(worker.permits),
               worker.oldest.count() == 0 ? "-" : format_duration(worker.oldest),
               worker.dead ? "dead: shm-inspect reap" : ""},
              worker.dead);
  }
  return table.text(colours) + worker_line(snapshot);
}

}  // namespace weir::shm_inspect

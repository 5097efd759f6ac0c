// The parts of `status` that show windows, cooldowns, breakers, and limits that only count.

#include <fmt/format.h>
#include <string>

#include "weir/config.hpp"
#include "weir/text.hpp"

#include "render.hpp"
#include "text_table.hpp"

namespace weir::shm_inspect {
namespace {

std::string_view kind_text(WindowKind kind) {
  switch (kind) {
    case WindowKind::log:
      return "log";
    case WindowKind::ring:
      return "ring";
    case WindowKind::fixed:
      return "fixed";
    case WindowKind::weighted:
      return "weighted";
    case WindowKind::automatic:
      break;
  }
  return "";
}

std::string windows(const Snapshot& snapshot, bool colours) {
  if (snapshot.windows.empty()) return {};
  TextTable table({"WINDOWS", "LIMIT", "KIND", "LEFT", "EMPTY IN"});
  for (const WindowStatus& window : snapshot.windows) {
    const std::string left = window.per_user
                                 ? fmt::format("{} users, {} exhausted", window.active, window.exhausted)
                                 : fmt::format("{}/{}", window.available, window.window.limit);
    const std::string empty = window.per_user               ? "-"
                              : window.full_in.count() == 0 ? "empty"
                                                            : format_duration(window.full_in);
    table.add({printable(window.name), format_window(window.window),
               std::string(kind_text(window.window.kind)), left, empty},
              !window.per_user && window.available == 0 && window.window.mode == Mode::enforced);
  }
  return "\n" + table.text(colours);
}

std::string cooldowns(const Snapshot& snapshot, bool colours) {
  if (snapshot.cooldowns.empty()) return {};
  TextTable table({"COOLDOWNS", "FOR", "AFTER", "BLOCKED"});
  for (const CooldownStatus& cooldown : snapshot.cooldowns) {
    const bool on = cooldown.blocked_for.count() != 0 || cooldown.blocked_users != 0;
    const std::string blocked = cooldown.per_user ? fmt::format("{} users", cooldown.blocked_users)
                                : on              ? "for " + format_duration(cooldown.blocked_for)
                                                  : "no";
    table.add({printable(cooldown.name), format_duration(cooldown.cooldown.length),
               fmt::format("{} refusals", cooldown.cooldown.refusals), blocked},
              on);
  }
  return "\n" + table.text(colours);
}

std::string breakers(const Snapshot& snapshot, bool colours) {
  if (snapshot.breakers.empty()) return {};
  TextTable table({"BREAKERS", "STATE", "FAILURES", "CALLS", "PROBES", "NEXT PROBE"});
  for (const BreakerStatus& breaker : snapshot.breakers) {
    const bool windowed = breaker.breaker.failure_rate > 0 || breaker.breaker.slow_rate > 0;
    const bool refuses = breaker.state == BreakerState::open || breaker.state == BreakerState::half_open ||
                         breaker.state == BreakerState::forced_open;
    const std::string failures =
        breaker.breaker.failures != 0
            ? fmt::format("{}/{} in a row", breaker.failures_in_a_row, breaker.breaker.failures)
            : std::to_string(breaker.failures);
    table.add(
        {"operations." + printable(breaker.operation), std::string(to_string(breaker.state)), failures,
         windowed ? fmt::format("{} ({} failed, {} slow)", breaker.calls, breaker.failures, breaker.slow)
                  : "-",
         fmt::format("{}/{}", breaker.probes_out, breaker.breaker.probes),
         breaker.next_probe.count() == 0 ? "-" : format_duration(breaker.next_probe)},
        refuses);
  }
  return "\n" + table.text(colours);
}

std::string counting(const Snapshot& snapshot, bool colours) {
  TextTable table({"LIMITS THAT ONLY COUNT", "WOULD HAVE REFUSED"});
  bool any = false;
  const auto add = [&](const std::string& name, bool only_counts, std::uint64_t refused) {
    if (!only_counts) return;
    any = true;
    table.add({printable(name), std::to_string(refused)});
  };
  for (const auto& limit : snapshot.shared)
    add(limit.name, limit.rate.mode != Mode::enforced, limit.would_refuse);
  for (const auto& limit : snapshot.users)
    add(limit.name, limit.rate.mode != Mode::enforced, limit.would_refuse);
  for (const auto& limit : snapshot.shared_permits)
    add(limit.name, limit.mode != Mode::enforced, limit.would_refuse);
  for (const auto& limit : snapshot.user_permits)
    add(limit.name, limit.mode != Mode::enforced, limit.would_refuse);
  for (const auto& limit : snapshot.windows)
    add(limit.name, limit.window.mode != Mode::enforced, limit.would_refuse);
  for (const auto& limit : snapshot.cooldowns) add(limit.name, limit.cooldown.shadow, limit.would_refuse);
  return any ? "\n" + table.text(colours) : std::string();
}

}  // namespace

std::string render_guards(const Snapshot& snapshot, bool colours) {
  return windows(snapshot, colours) + cooldowns(snapshot, colours) + breakers(snapshot, colours) +
         counting(snapshot, colours);
}

std::string render_users(const std::vector<UserEntry>& entries, bool colours) {
  if (entries.empty()) return "nothing is held against anybody\n";
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
  if (report.changes.empty()) return "nothing to change: everything is so already\n";
  std::string text;
  for (const ConfigChange& change : report.changes) {
    text +=
        fmt::format("{}: {} -> {}\n", printable(change.key), printable(change.from), printable(change.to));
  }
  return text +
         (dry_run ? "nothing was changed (--dry-run)\n" : fmt::format("generation {}\n", report.generation));
}

}  // namespace weir::shm_inspect

#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string>

#include "weir/config.hpp"

#include "render.hpp"

namespace weir::shm_inspect {
namespace {

using Json = nlohmann::ordered_json;

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string_view mode_text(Mode mode) {
  return mode == Mode::enforced ? "enforced" : mode == Mode::shadow ? "shadow" : "candidate";
}

Json limit_json(const std::string& name, const Rate& rate) {
  return {{"name", name},        {"rate", format_rate(rate)},
          {"count", rate.count}, {"period_s", seconds(rate.period)},
          {"burst", rate.burst}, {"mode", mode_text(rate.mode)}};
}

Json shared_limits(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const SharedLimitStatus& limit : snapshot.shared) {
    Json entry = limit_json(limit.name, limit.rate);
    entry["available"] = limit.available;
    entry["full_in_s"] = seconds(limit.full_in);
    entry["would_refuse"] = limit.would_refuse;
    list.push_back(std::move(entry));
  }
  return list;
}

Json user_limits(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const UserLimitStatus& limit : snapshot.users) {
    Json entry = limit_json(limit.name, limit.rate);
    entry["active"] = limit.active;
    entry["exhausted"] = limit.exhausted;
    entry["would_refuse"] = limit.would_refuse;
    list.push_back(std::move(entry));
  }
  return list;
}

Json user_table(const Snapshot& snapshot) {
  const UserTableStatus& table = snapshot.table;
  return {{"capacity", table.capacity},  {"occupied", table.occupied},
          {"active", table.active},      {"when_full", to_string(snapshot.config.segment.when_full)},
          {"evicted", table.evicted},    {"refused", table.refused},
          {"unlimited", table.unlimited}};
}

Json shared_permits(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const SharedPermitStatus& limit : snapshot.shared_permits) {
    list.push_back({{"name", limit.name},
                    {"limit", limit.limit},
                    {"in_use", limit.in_use},
                    {"mode", mode_text(limit.mode)},
                    {"would_refuse", limit.would_refuse}});
  }
  return list;
}

Json user_permits(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const UserPermitStatus& limit : snapshot.user_permits) {
    list.push_back({{"name", limit.name},
                    {"limit", limit.limit},
                    {"users", limit.users},
                    {"in_use", limit.in_use},
                    {"mode", mode_text(limit.mode)},
                    {"would_refuse", limit.would_refuse}});
  }
  return list;
}

Json workers(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const WorkerStatus& worker : snapshot.workers) {
    list.push_back({{"slot", worker.slot},
                    {"pid", worker.pid},
                    {"name", worker.name},
                    {"dead", worker.dead},
                    {"since_s", seconds(worker.since)},
                    {"permits", worker.permits},
                    {"oldest_s", seconds(worker.oldest)}});
  }
  return list;
}

Json windows(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const WindowStatus& window : snapshot.windows) {
    Json entry = {{"name", window.name},
                  {"window", format_window(window.window)},
                  {"limit", window.window.limit},
                  {"length_s", seconds(window.window.length)},
                  {"mode", mode_text(window.window.mode)},
                  {"per_user", window.per_user},
                  {"would_refuse", window.would_refuse}};
    if (window.per_user) {
      entry["active"] = window.active;
      entry["exhausted"] = window.exhausted;
    } else {
      entry["available"] = window.available;
      entry["full_in_s"] = seconds(window.full_in);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

Json cooldowns(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const CooldownStatus& cooldown : snapshot.cooldowns) {
    list.push_back({{"name", cooldown.name},
                    {"length_s", seconds(cooldown.cooldown.length)},
                    {"refusals", cooldown.cooldown.refusals},
                    {"per_user", cooldown.per_user},
                    {"blocked_for_s", seconds(cooldown.blocked_for)},
                    {"blocked_users", cooldown.blocked_users},
                    {"would_refuse", cooldown.would_refuse}});
  }
  return list;
}

Json breakers(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const BreakerStatus& breaker : snapshot.breakers) {
    list.push_back({{"operation", breaker.operation},
                    {"state", to_string(breaker.state)},
                    {"failures_in_a_row", breaker.failures_in_a_row},
                    {"calls", breaker.calls},
                    {"failures", breaker.failures},
                    {"slow", breaker.slow},
                    {"probes_out", breaker.probes_out},
                    {"trips", breaker.trips},
                    {"next_probe_s", seconds(breaker.next_probe)}});
  }
  return list;
}

Json swept(const SweepStatus& status) {
  return {{"workers", status.workers}, {"permits", status.permits}, {"late_releases", status.late_releases}};
}

Json difference(const Snapshot& snapshot) {
  if (!snapshot.difference) return nullptr;
  const DifferenceStatus& differs = *snapshot.difference;
  const auto when = fmt::gmtime(std::chrono::system_clock::to_time_t(differs.when));
  return {{"values", differs.values},
          {"key", differs.key},
          {"segment", differs.here},
          {"configuration", differs.there},
          {"program", differs.program},
          {"pid", differs.pid},
          {"when", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", when)}};
}

Json operations(const Config& config) {
  Json names = Json::array();
  for (const auto& [name, policy] : config.operations) names.push_back(name);
  return names;
}

}  // namespace

std::string render_json(const Snapshot& snapshot) {
  const auto created = fmt::gmtime(std::chrono::system_clock::to_time_t(snapshot.created));
  const Json json = {{"segment", snapshot.segment},
                     {"library_version", snapshot.library_version},
                     {"layout_version", snapshot.layout_version},
                     {"uuid", snapshot.uuid},
                     {"bytes", snapshot.bytes},
                     {"created", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", created)},
                     {"operations", operations(snapshot.config)},
                     {"shared_limits", shared_limits(snapshot)},
                     {"user_limits", user_limits(snapshot)},
                     {"user_table", user_table(snapshot)},
                     {"shared_permits", shared_permits(snapshot)},
                     {"user_permits", user_permits(snapshot)},
                     {"windows", windows(snapshot)},
                     {"cooldowns", cooldowns(snapshot)},
                     {"breakers", breakers(snapshot)},
                     {"generation", snapshot.generation},
                     {"difference", difference(snapshot)},
                     {"worker_slots", snapshot.worker_slots},
                     {"workers", workers(snapshot)},
                     {"swept", swept(snapshot.swept)}};
  // ASCII alone, and bytes that are no UTF-8 replaced: names in a segment are whatever its writer put there.
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_json(const LoadedConfig& loaded) {
  Json values = Json::array();
  for (const ConfigValue& value : loaded.values) {
    values.push_back({{"key", value.key}, {"value", value.value}, {"origin", value.origin}});
  }
  return Json{{"values", std::move(values)}}.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_json(const std::vector<UserEntry>& entries) {
  Json users = Json::array();
  for (const UserEntry& entry : entries) {
    const char* const kind = entry.name == NameKind::whole ? "whole"
                             : entry.name == NameKind::cut ? "cut"
                                                           : "hash";
    users.push_back({{"user", entry.user},
                     {"name", kind},
                     {"limit", entry.limit},
                     {"available", entry.available},
                     {"of", entry.of},
                     {"permits", entry.permits},
                     {"retry_after_s", seconds(entry.retry_after)}});
  }
  return Json{{"users", std::move(users)}}.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_json(const std::vector<ChangeEntry>& entries) {
  Json changes = Json::array();
  for (const ChangeEntry& entry : entries) {
    const auto when = fmt::gmtime(std::chrono::system_clock::to_time_t(entry.when));
    changes.push_back({{"generation", entry.generation},
                       {"when", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", when)},
                       {"program", entry.program},
                       {"pid", entry.pid},
                       {"uid", entry.uid},
                       {"key", entry.change.key},
                       {"from", entry.change.from},
                       {"to", entry.change.to},
                       {"undoes", entry.undoes == 0 ? Json() : Json(entry.undoes)}});
  }
  return Json{{"changes", std::move(changes)}}.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_json(const ChangeReport& report, bool dry_run) {
  Json changes = Json::array();
  for (const ConfigChange& change : report.changes) {
    changes.push_back({{"key", change.key}, {"from", change.from}, {"to", change.to}});
  }
  const Json json = {
      {"generation", report.generation}, {"dry_run", dry_run}, {"changes", std::move(changes)}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_json(const ResetReport& report) {
  return Json{{"limits", report.limits}, {"users", report.users}}.dump(2) + "\n";
}

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lists of all values that the inspector shows. The screens of shm-inspect, its --json, its --help and
// docs/inspector.md walk these lists, and so can an exporter or a dashboard.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/field.hpp"
#include "weir/field_rows.hpp"
#include "weir/inspect.hpp"
#include "weir/limit_rows.hpp"
#include "weir/limiter.hpp"
#include "weir/metric_rows.hpp"

namespace weir {

inline constexpr FieldList<Snapshot> kSegmentFields{"", "", "The segment itself.", fields::kSegment};
inline constexpr FieldList<UserEntry> kUserFields{
    "users", "", "What one limit holds against one user, one row for each such pair.", fields::kUsers};
inline constexpr FieldList<SegmentEntry> kSegmentEntryFields{
    "segments", "", "One row for each segment of this host.", fields::kSegments};
inline constexpr FieldList<ChangeEntry> kHistoryFields{
    "changes", "", "One row for each changed value, newest first.", fields::kHistory};
inline constexpr FieldList<EventEntry> kEventFields{
    "events", "", "One row for each record of the journal, in the order of the host.", fields::kEvents};
inline constexpr FieldList<ConfigChange> kChangeFields{
    "changes", "", "One row for each value that was changed, or with --dry-run would be.", fields::kChanges};
inline constexpr FieldList<ConfigValue> kValueFields{
    "values", "", "One row for each value of a configuration.", fields::kValues};
inline constexpr FieldList<ResetReport> kResetFields{"", "", "What was reset.", fields::kReset};

inline constexpr SnapshotPart<OperationStatus> kOperations{
    {"operations", "OPERATIONS",
     "One row for each operation: what became of its requests, and how long its calls took.",
     fields::kOperations,
     [](const OperationStatus& operation) { return operation.error_rate().value_or(0) > 0.1; },
     [](const OperationStatus& operation) {
       return MetricLabels{{"operation", operation.name}};
     }},
    [](const Snapshot& snapshot) { return snapshot.operations; }};
inline constexpr SnapshotPart<LimitStatus> kSharedLimits{
    {"shared_limits", "LIMITS OVER ALL CALLERS", "One row for each rate over all users.",
     fields::kSharedRates, [](const LimitStatus& limit) { return limit.available() == 0; }},
    fields::limits<false, Rate>};
inline constexpr SnapshotPart<LimitStatus> kUserLimits{
    {"user_limits", "LIMITS OF EACH USER", "One row for each rate of each user.", fields::kUserRates,
     [](const LimitStatus& limit) { return limit.exhausted > 0; }},
    fields::limits<true, Rate>};
inline constexpr SnapshotPart<LimitStatus> kSharedPermits{
    {"shared_permits", "PERMITS OVER ALL CALLERS", "One row for each concurrency limit over all users.",
     fields::kSharedPermits, [](const LimitStatus& limit) { return limit.available() == 0; }},
    fields::limits<false, Concurrency>};
inline constexpr SnapshotPart<LimitStatus> kUserPermits{
    {"user_permits", "PERMITS OF EACH USER", "One row for each concurrency limit of each user.",
     fields::kUserPermits, nullptr},
    fields::limits<true, Concurrency>};
inline constexpr SnapshotPart<LimitStatus> kWindows{
    {"windows", "WINDOWS",
     "One row for each window. One over all users has available and full_in_s, one of each user has active "
     "and exhausted.",
     fields::kWindows,
     [](const LimitStatus& limit) {
       return !limit.per_user && limit.available() == 0 && limit.mode == Mode::enforced;
     }},
    fields::all_limits<Window>};
inline constexpr SnapshotPart<LimitStatus> kCooldowns{
    {"cooldowns", "COOLDOWNS", "One row for each cooldown.", fields::kCooldowns,
     [](const LimitStatus& limit) { return limit.resets_in.count() != 0 || limit.exhausted != 0; }},
    fields::all_limits<Cooldown>};
inline constexpr SnapshotPart<BreakerStatus> kBreakers{
    {"breakers", "BREAKERS", "One row for each circuit breaker.", fields::kBreakers,
     [](const BreakerStatus& status) {
       return status.state == BreakerState::open || status.state == BreakerState::half_open ||
              status.state == BreakerState::forced_open;
     },
     [](const BreakerStatus& status) {
       return MetricLabels{{"operation", status.operation}};
     }},
    [](const Snapshot& snapshot) { return snapshot.breakers; }};
inline constexpr SnapshotPart<UserTableStatus> kUserTable{
    {"user_table", "", "The table of users as a whole.", fields::kUserTable, nullptr},
    [](const Snapshot& snapshot) { return std::vector{snapshot.table}; },
    true};
inline constexpr SnapshotPart<DifferenceStatus> kDifference{
    {"difference", "",
     "The last configuration that a process opened the segment with and that it does not enforce; null if "
     "there is none.",
     fields::kDifference, nullptr},
    [](const Snapshot& snapshot) {
      return snapshot.difference ? std::vector{*snapshot.difference} : std::vector<DifferenceStatus>();
    },
    true};
inline constexpr SnapshotPart<QueueStatus> kQueues{
    {"queues", "QUEUES", "One row for each queue.", fields::kQueues,
     [](const QueueStatus& status) { return status.waiting >= status.queue.seats; },
     [](const QueueStatus& status) {
       return MetricLabels{{"queue", status.name}};
     }},
    [](const Snapshot& snapshot) { return snapshot.queues; }};
inline constexpr SnapshotPart<WaiterStatus> kWaiters{
    {"waiters", "QUEUE", "One row for each request that waits.", fields::kWaiters,
     [](const WaiterStatus& waiter) { return waiter.absent; }},
    [](const Snapshot& snapshot) { return snapshot.waiters; }};
inline constexpr SnapshotPart<WorkerStatus> kWorkers{
    {"workers", "SLOT", "One row for each attached process.", fields::kWorkers,
     [](const WorkerStatus& worker) { return worker.dead; }},
    [](const Snapshot& snapshot) { return snapshot.workers; }};
inline constexpr SnapshotPart<SweepStatus> kSwept{
    {"swept", "", "What sweeps and late releases have done since the segment was made.", fields::kSwept,
     nullptr},
    [](const Snapshot& snapshot) { return std::vector{snapshot.swept}; },
    true};
/// Limits of any kind that only count. JSON has each of them in the list of its kind.
inline constexpr SnapshotPart<LimitStatus> kCountingLimits{
    {"", "LIMITS THAT ONLY COUNT", "One row for each limit that only counts.", fields::kCounting, nullptr},
    [](const Snapshot& snapshot) {
      std::vector<LimitStatus> found;
      for (const LimitStatus& limit : snapshot.limits) {
        if (limit.mode != Mode::enforced) found.push_back(limit);
      }
      return found;
    }};

/// Calls visit(part) for all parts of a snapshot beside kSegmentFields, in the order in which they are shown.
template <class Visit>
void for_each_part(Visit&& visit) {
  visit(kOperations);
  visit(kSharedLimits);
  visit(kUserLimits);
  visit(kSharedPermits);
  visit(kUserPermits);
  visit(kWindows);
  visit(kCooldowns);
  visit(kBreakers);
  visit(kUserTable);
  visit(kDifference);
  visit(kQueues);
  visit(kWaiters);
  visit(kWorkers);
  visit(kSwept);
}

inline constexpr FieldList<Snapshot> kSegmentInfo{
    "", "", "What the segment is.", fields::kSegmentInfo, nullptr, fields::segment_info_labels};
inline constexpr FieldList<Snapshot> kSegmentMetrics{"", "", "Counted over the whole segment.",
                                                     fields::kSegmentMetrics};
inline constexpr FieldList<LimitStatus> kLimitMetrics{
    "", "", "Limits of all kinds.", fields::kLimitMetrics, nullptr, fields::limit_labels};

/// Calls visit(list, rows) for all lists with fields that name a metric, in the order of an exposition; `rows` is a range
/// of rows of the list. Rows of one worker or of one request that waits are not among them: a series would
/// remain of each.
template <class Visit>
void for_each_metric_list(const Snapshot& snapshot, Visit&& visit) {
  const std::span<const Snapshot> self(&snapshot, 1);
  visit(kSegmentInfo, self);
  visit(kSegmentFields, self);
  visit(kSegmentMetrics, self);
  visit(kLimitMetrics, std::span<const LimitStatus>(snapshot.limits));
  for_each_part([&](const auto& part) { visit(part, part.rows(snapshot)); });
}

// --- JSON, in a type of the caller's: nlohmann::json, or one that is used like it.

/// A list of pairs: at most how many seconds, and how many calls; the bound of the last one is null.
template <class Json>
[[nodiscard]] Json as_json(const Histogram& histogram) {
  Json buckets = Json::array();
  for (const auto& [at_most, count] : histogram.buckets) {
    Json pair = Json::array();
    pair.push_back(Json(std::chrono::duration<double>(at_most).count()));
    pair.push_back(Json(count));
    buckets.push_back(pair);
  }
  Json last = Json::array();
  last.push_back(Json(nullptr));
  last.push_back(Json(histogram.longer));
  buckets.push_back(last);
  return buckets;
}

template <class Json>
[[nodiscard]] Json as_json(const FieldValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::monostate> || std::is_same_v<T, std::nullptr_t>) {
          return Json(nullptr);
        } else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) {
          return Json(std::chrono::duration<double>(held).count());
        } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
          return Json(utc_text(held));
        } else if constexpr (std::is_same_v<T, Histogram>) {
          return as_json<Json>(held);
        } else {
          return Json(held);
        }
      },
      value);
}

/// A row as an object; as a plain value where the list has one field without a key.
template <class Json, class Row>
[[nodiscard]] Json as_json(const FieldList<Row>& list, const Row& row) {
  Json object = Json::object();
  for (const Field<Row>& field : list.fields) {
    const FieldValue value = field.get(row);
    if (field.key.empty()) return as_json<Json>(value);
    if (!std::holds_alternative<std::monostate>(value)) object[std::string(field.key)] = as_json<Json>(value);
  }
  return object;
}

template <class Json, class Row>
[[nodiscard]] Json as_json(const FieldList<Row>& list, const std::vector<Row>& rows) {
  Json array = Json::array();
  for (const Row& row : rows) array.push_back(as_json<Json>(list, row));
  return array;
}

template <class Json, class Row>
[[nodiscard]] Json as_json(const SnapshotPart<Row>& part, const Snapshot& snapshot) {
  const FieldList<Row>& list = part;
  const std::vector<Row> rows = part.rows(snapshot);
  if (!part.is_object) return as_json<Json>(list, rows);
  return rows.empty() ? Json(nullptr) : as_json<Json>(list, rows.front());
}

/// Everything, as `shm-inspect status --json` shows it.
template <class Json>
[[nodiscard]] Json as_json(const Snapshot& snapshot) {
  Json object = as_json<Json>(kSegmentFields, snapshot);
  for_each_part([&](const auto& part) { object[std::string(part.key)] = as_json<Json>(part, snapshot); });
  return object;
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#pragma once

// What only an exposition for Prometheus has, beside the fields that name a metric: limits of all kinds in one list, so
// that one name means one thing for all of them, and what is counted over several rows.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "weir/field.hpp"
#include "weir/inspect.hpp"
#include "weir/policy.hpp"

namespace weir::fields {

[[nodiscard]] inline std::string kind_of(const LimitStatus& limit) {
  constexpr std::array<const char*, 4> kKinds{"rate", "window", "permits", "cooldown"};
  static_assert(std::variant_size_v<LimitRule> == kKinds.size());
  return kKinds[limit.rule.index()];
}
[[nodiscard]] inline bool is_cooldown(const LimitStatus& limit) {
  return std::holds_alternative<Cooldown>(limit.rule);
}
[[nodiscard]] inline bool has_permits(const LimitStatus& limit) {
  return std::holds_alternative<Concurrency>(limit.rule);
}
[[nodiscard]] inline FieldValue value_if(bool applies, std::uint64_t value) {
  return applies ? FieldValue(value) : FieldValue();
}

[[nodiscard]] inline MetricLabels limit_labels(const LimitStatus& limit) {
  return {{"limit", limit.name}, {"operation", limit.operation}, {"kind", kind_of(limit)}};
}
inline constexpr std::array kLimitMetrics{
    Field<LimitStatus>{
        .key = "capacity",
        .kind = FieldKind::gauge,
        .help = "Tokens of a full bucket, requests of a window, or permits.",
        .get = [](const LimitStatus& limit) { return value_if(!is_cooldown(limit), limit.capacity); },
        .more = "Of a limit of each user: what one user has.",
        .metric = {"limit_capacity"}},
    Field<LimitStatus>{.key = "available",
                       .kind = FieldKind::gauge,
                       .help = "How much of the capacity of a limit over all users is left.",
                       .get =
                           [](const LimitStatus& limit) {
                             return value_if(!limit.per_user && !is_cooldown(limit), limit.available());
                           },
                       .metric = {"limit_available"}},
    Field<LimitStatus>{
        .key = "in_use",
        .kind = FieldKind::gauge,
        .unit = Unit::permits,
        .help = "Permits that are held now; for a limit of each user, those of all users.",
        .get = [](const LimitStatus& limit) { return value_if(has_permits(limit), limit.used); },
        .metric = {"limit_permits_in_use"}},
    Field<LimitStatus>{
        .key = "resets_in_s",
        .kind = FieldKind::gauge,
        .unit = Unit::seconds,
        .help = "Time until all of a limit over all users is available again, or its cooldown ends.",
        .get =
            [](const LimitStatus& limit) {
              return limit.per_user || has_permits(limit) ? FieldValue() : FieldValue(limit.resets_in);
            },
        .metric = {"limit_resets_in_seconds"}},
    Field<LimitStatus>{.key = "users",
                       .kind = FieldKind::gauge,
                       .unit = Unit::users,
                       .help = "Users against whom a limit of each user holds something now.",
                       .get = [](const LimitStatus& limit) { return value_if(limit.per_user, limit.users); },
                       .metric = {"limit_users_active"}},
    Field<LimitStatus>{
        .key = "exhausted",
        .kind = FieldKind::gauge,
        .unit = Unit::users,
        .help = "Users whose next request a limit of each user would refuse now; not known for permits.",
        .get =
            [](const LimitStatus& limit) {
              return value_if(limit.per_user && !has_permits(limit), limit.exhausted);
            },
        .metric = {"limit_users_exhausted"}},
    Field<LimitStatus>{.key = "refused",
                       .kind = FieldKind::counter,
                       .unit = Unit::requests,
                       .help = "Requests that a limit refused.",
                       .get = [](const LimitStatus& limit) { return FieldValue(limit.refused); },
                       .metric = {"refusals_total"}},
    Field<LimitStatus>{.key = "would_refuse",
                       .kind = FieldKind::counter,
                       .unit = Unit::requests,
                       .help = "Requests that a limit which only counts would have refused.",
                       .get =
                           [](const LimitStatus& limit) {
                             return value_if(limit.mode != Mode::enforced || limit.would_refuse != 0,
                                             limit.would_refuse);
                           },
                       .metric = {"shadow_refusals_total"}}};

[[nodiscard]] inline std::uint64_t dead_workers(const Snapshot& snapshot) {
  return static_cast<std::uint64_t>(std::count_if(snapshot.workers.begin(), snapshot.workers.end(),
                                                  [](const WorkerStatus& worker) { return worker.dead; }));
}
/// Each word is exact, but they are not of one instant.
[[nodiscard]] constexpr std::uint64_t rest(std::uint64_t whole, std::uint64_t part) {
  return whole > part ? whole - part : 0;
}
inline constexpr std::array kSegmentMetrics{
    Field<Snapshot>{
        .key = "workers_alive",
        .kind = FieldKind::gauge,
        .unit = Unit::workers,
        .help = "Attached processes that live.",
        .get =
            [](const Snapshot& snapshot) {
              return FieldValue(rest(snapshot.workers.size(), dead_workers(snapshot)));
            },
        .metric = {"workers", R"(state="alive")", "Attached processes; a dead one has not been swept yet."}},
    Field<Snapshot>{.key = "workers_dead",
                    .kind = FieldKind::gauge,
                    .unit = Unit::workers,
                    .help = "Attached processes that died and were not swept yet.",
                    .get = [](const Snapshot& snapshot) { return FieldValue(dead_workers(snapshot)); },
                    .metric = {"workers", R"(state="dead")"}},
    Field<Snapshot>{.key = "user_entries_active",
                    .kind = FieldKind::gauge,
                    .unit = Unit::entries,
                    .help = "Entries of the user table that hold something against a user.",
                    .get = [](const Snapshot& snapshot) { return FieldValue(snapshot.table.active); },
                    .metric = {"user_table_entries", R"(state="active")",
                               "Entries of the user table; one at rest names a user who owes nothing."}},
    Field<Snapshot>{.key = "user_entries_at_rest",
                    .kind = FieldKind::gauge,
                    .unit = Unit::entries,
                    .help = "Entries of the user table that name a user who owes nothing.",
                    .get =
                        [](const Snapshot& snapshot) {
                          return FieldValue(rest(snapshot.table.occupied, snapshot.table.active));
                        },
                    .metric = {"user_table_entries", R"(state="at_rest")"}},
    Field<Snapshot>{.key = "user_entries_free",
                    .kind = FieldKind::gauge,
                    .unit = Unit::entries,
                    .help = "Entries of the user table that are free.",
                    .get =
                        [](const Snapshot& snapshot) {
                          return FieldValue(rest(snapshot.table.capacity, snapshot.table.occupied));
                        },
                    .metric = {"user_table_entries", R"(state="free")"}},
    Field<Snapshot>{
        .key = "values_that_differ",
        .kind = FieldKind::gauge,
        .help = "Values of the last configuration that a process opened the segment with and that "
                "it does not enforce.",
        .get =
            [](const Snapshot& snapshot) {
              return FieldValue(snapshot.difference ? snapshot.difference->values : std::uint64_t{0});
            },
        .metric = {"configuration_values_differing"}}};

[[nodiscard]] inline MetricLabels segment_info_labels(const Snapshot& snapshot) {
  return {{"version", snapshot.library_version},
          {"layout", std::to_string(snapshot.layout_version)},
          {"uuid", snapshot.uuid}};
}
inline constexpr std::array kSegmentInfo{Field<Snapshot>{
    .key = "segment",
    .kind = FieldKind::gauge,
    .help = "Always 1; its labels are the version of weir that made the segment, its layout and its uuid.",
    .get = [](const Snapshot&) { return FieldValue(std::uint64_t{1}); },
    .metric = {"segment_info"}}};

}  // namespace weir::fields

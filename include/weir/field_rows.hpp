// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every value that the inspector shows, described once: the fields of each type of row. A new value is a member of a
// row (inspect.hpp) and a field of its list here.

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/field.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

namespace weir::fields {

// --- The limits: one list of a snapshot, shown in parts.

template <bool kPerUser, class Rule>
[[nodiscard]] std::vector<LimitStatus> limits(const Snapshot& snapshot) {
  std::vector<LimitStatus> found;
  for (const LimitStatus& limit : snapshot.limits) {
    if (limit.per_user == kPerUser && std::holds_alternative<Rule>(limit.rule)) found.push_back(limit);
  }
  return found;
}
template <class Rule>
[[nodiscard]] std::vector<LimitStatus> all_limits(const Snapshot& snapshot) {
  std::vector<LimitStatus> found;
  for (const LimitStatus& limit : snapshot.limits) {
    if (std::holds_alternative<Rule>(limit.rule)) found.push_back(limit);
  }
  return found;
}

/// A part of the rule of a limit that has such a rule.
template <class Rule, class Get>
[[nodiscard]] FieldValue of_rule(const LimitStatus& limit, Get&& get) {
  const Rule* const rule = std::get_if<Rule>(&limit.rule);
  return rule == nullptr ? FieldValue() : detail::to_value(get(*rule));
}
/// A value that only limits over all users have, or only limits of each user.
template <class T>
[[nodiscard]] FieldValue if_shared(const LimitStatus& limit, const T& value) {
  return limit.per_user ? FieldValue() : detail::to_value(value);
}
template <class T>
[[nodiscard]] FieldValue if_per_user(const LimitStatus& limit, const T& value) {
  return limit.per_user ? detail::to_value(value) : FieldValue();
}

[[nodiscard]] inline std::uint64_t capacity(const LimitStatus& limit) {
  return limit.capacity;
}

inline constexpr Field<LimitStatus> kName{
    .key = "name",
    .help = "Its key in the configuration.",
    .get = value_of<&LimitStatus::name>,
    .more =
        "`operations.upload.rate[1]` is the second rate of the operation `upload`, over all its users; "
        "`operations.upload.user.rate` is one of each user. `set` takes the same keys."};
inline constexpr Field<LimitStatus> kMode{
    .key = "mode",
    .kind = FieldKind::state,
    .help = "enforced, shadow or candidate; the last two only count.",
    .get = value_of<&LimitStatus::mode>,
    .more =
        "A limit that only counts keeps books of its own, and refuses nothing. A candidate is a second value "
        "of the limit before it."};
inline constexpr Field<LimitStatus> kPerUser{.key = "per_user",
                                             .help = "Whether it is a limit of each user.",
                                             .get = value_of<&LimitStatus::per_user>};
inline constexpr Field<LimitStatus> kWouldRefuse{
    .key = "would_refuse",
    .kind = FieldKind::counter,
    .unit = Unit::requests,
    .help = "Requests that a limit which only counts would have refused.",
    .get = value_of<&LimitStatus::would_refuse>,
    .more = "0 for an enforced limit. The count goes on when the limit changes."};
inline constexpr Field<LimitStatus> kActive{
    .key = "active",
    .kind = FieldKind::gauge,
    .unit = Unit::users,
    .help = "Users against whom it holds something now.",
    .get = [](const LimitStatus& limit) { return if_per_user(limit, limit.users); },
    .more =
        "A user whose bucket is full, or of whom nothing is counted any more, is not active, and may be "
        "forgotten at any time without a loss.",
    .title = "ACTIVE USERS"};
inline constexpr Field<LimitStatus> kExhausted{
    .key = "exhausted",
    .kind = FieldKind::gauge,
    .unit = Unit::users,
    .help = "Active users whose next request it would refuse.",
    .get = [](const LimitStatus& limit) { return if_per_user(limit, limit.exhausted); },
    .title = "EXHAUSTED"};
inline constexpr Field<LimitStatus> kAvailable{
    .key = "available",
    .kind = FieldKind::gauge,
    .unit = Unit::requests,
    .help = "The largest cost of a request that would pass now.",
    .get = [](const LimitStatus& limit) { return if_shared(limit, limit.available()); },
    .more = "For a rate the tokens in its bucket, for a window what is left of its limit.",
    .title = "AVAILABLE",
    .of = capacity};
[[nodiscard]] constexpr Field<LimitStatus> resets_in(std::string_view title, std::string_view zero) {
  return {.key = "full_in_s",
          .kind = FieldKind::gauge,
          .unit = Unit::seconds,
          .help = "Time until all of it is available again, if nothing else comes.",
          .get = [](const LimitStatus& limit) { return if_shared(limit, limit.resets_in); },
          .title = title,
          .zero = zero};
}
inline constexpr Field<LimitStatus> kPermits{.key = "limit",
                                             .unit = Unit::permits,
                                             .help = "Calls that may be in progress at once.",
                                             .get = value_of<&LimitStatus::capacity>};
inline constexpr Field<LimitStatus> kInUse{
    .key = "in_use",
    .kind = FieldKind::gauge,
    .unit = Unit::permits,
    .help = "Permits that are held now; for a limit of each user, those of all users.",
    .get = value_of<&LimitStatus::used>,
    .more =
        "It may be above a limit that was lowered: the permits beyond it drain, and none is given meanwhile.",
    .title = "IN USE"};

inline constexpr Field<LimitStatus> kRate{
    .key = "rate",
    .help = "The value as it is written in a configuration.",
    .get = [](const LimitStatus& limit) { return of_rule<Rate>(limit, format_rate); },
    .title = "RATE"};
inline constexpr Field<LimitStatus> kCount{.key = "count",
                                           .unit = Unit::requests,
                                           .help = "Tokens that it earns in a period.",
                                           .get = [](const LimitStatus& limit) {
                                             return of_rule<Rate>(
                                                 limit, [](const Rate& rate) { return rate.count; });
                                           }};
inline constexpr Field<LimitStatus> kPeriod{.key = "period_s",
                                            .unit = Unit::seconds,
                                            .help = "The period in which it earns `count` tokens.",
                                            .get = [](const LimitStatus& limit) {
                                              return of_rule<Rate>(
                                                  limit, [](const Rate& rate) { return rate.period; });
                                            }};
inline constexpr Field<LimitStatus> kBurst{.key = "burst",
                                           .unit = Unit::requests,
                                           .help = "Tokens in a full bucket: what may pass at once.",
                                           .get = value_of<&LimitStatus::capacity>};

inline constexpr std::array kSharedRates{
    kName, kRate, kCount, kPeriod, kBurst, kMode, kAvailable, resets_in("FULL IN", "full"), kWouldRefuse};
inline constexpr std::array kUserRates{kName, kRate,   kCount,     kPeriod,     kBurst,
                                       kMode, kActive, kExhausted, kWouldRefuse};
[[nodiscard]] constexpr Field<LimitStatus> in_use_of_limit() {
  Field<LimitStatus> field = kInUse;
  field.of = capacity;
  return field;
}
[[nodiscard]] constexpr Field<LimitStatus> with_title(Field<LimitStatus> field, std::string_view title) {
  field.title = title;
  return field;
}
inline constexpr std::array kSharedPermits{kName, kPermits, in_use_of_limit(), kMode, kWouldRefuse};
inline constexpr std::array kUserPermits{kName,
                                         with_title(kPermits, "LIMIT"),
                                         Field<LimitStatus>{.key = "users",
                                                            .kind = FieldKind::gauge,
                                                            .unit = Unit::users,
                                                            .help = "Users who hold a permit now.",
                                                            .get = value_of<&LimitStatus::users>,
                                                            .title = "USERS HOLDING"},
                                         kInUse,
                                         kMode,
                                         kWouldRefuse};
inline constexpr std::array kWindows{
    kName,
    Field<LimitStatus>{.key = "window",
                       .help = "The value as it is written in a configuration.",
                       .get = [](const LimitStatus& limit) { return of_rule<Window>(limit, format_window); },
                       .title = "WINDOW"},
    Field<LimitStatus>{.key = "kind",
                       .help = "How it is kept: log, ring, fixed or weighted.",
                       .get =
                           [](const LimitStatus& limit) {
                             return of_rule<Window>(limit, [](const Window& window) { return window.kind; });
                           },
                       .title = "KIND"},
    Field<LimitStatus>{.key = "limit",
                       .unit = Unit::requests,
                       .help = "Requests within its length.",
                       .get = value_of<&LimitStatus::capacity>},
    Field<LimitStatus>{.key = "length_s",
                       .unit = Unit::seconds,
                       .help = "How long a request counts.",
                       .get =
                           [](const LimitStatus& limit) {
                             return of_rule<Window>(limit,
                                                    [](const Window& window) { return window.length; });
                           }},
    kMode,
    kPerUser,
    kWouldRefuse,
    kAvailable,
    resets_in("EMPTY IN", "empty"),
    kActive,
    kExhausted};
inline constexpr std::array kCooldowns{
    kName,
    Field<LimitStatus>{.key = "length_s",
                       .unit = Unit::seconds,
                       .help = "How long it refuses everything.",
                       .get =
                           [](const LimitStatus& limit) {
                             return of_rule<Cooldown>(limit,
                                                      [](const Cooldown& rule) { return rule.length; });
                           },
                       .title = "FOR"},
    Field<LimitStatus>{.key = "refusals",
                       .unit = Unit::requests,
                       .help = "Refusals in a row before it begins.",
                       .get =
                           [](const LimitStatus& limit) {
                             return of_rule<Cooldown>(limit,
                                                      [](const Cooldown& rule) { return rule.refusals; });
                           },
                       .title = "AFTER REFUSALS"},
    kMode,
    kPerUser,
    Field<LimitStatus>{.key = "blocked_for_s",
                       .kind = FieldKind::gauge,
                       .unit = Unit::seconds,
                       .help = "Time until it ends; 0 if it is not on, and for a cooldown of each user.",
                       .get = value_of<&LimitStatus::resets_in>,
                       .title = "BLOCKED FOR",
                       .zero = "-"},
    Field<LimitStatus>{.key = "blocked_users",
                       .kind = FieldKind::gauge,
                       .unit = Unit::users,
                       .help = "Users whom it blocks now; 0 for a cooldown over all users.",
                       .get = value_of<&LimitStatus::exhausted>,
                       .title = "BLOCKED USERS",
                       .zero = "-"},
    kWouldRefuse};
/// The fields of the list of all limits that only count.
inline constexpr std::array kCounting{kName, with_title(kMode, "MODE"),
                                      with_title(kWouldRefuse, "WOULD HAVE REFUSED")};

// --- The other parts of a snapshot.

inline constexpr std::array kSegment{
    Field<Snapshot>{.key = "segment", .help = "Its name.", .get = value_of<&Snapshot::segment>},
    Field<Snapshot>{.key = "library_version",
                    .help = "The version of weir that made it.",
                    .get = value_of<&Snapshot::library_version>},
    Field<Snapshot>{.key = "layout_version",
                    .help = "The version of its layout, which is a part of its file's name.",
                    .get = value_of<&Snapshot::layout_version>},
    Field<Snapshot>{.key = "uuid",
                    .help = "Tells it from every other segment, also from earlier ones of its name.",
                    .get = value_of<&Snapshot::uuid>},
    Field<Snapshot>{.key = "bytes",
                    .unit = Unit::bytes,
                    .help = "The size of its file.",
                    .get = value_of<&Snapshot::bytes>},
    Field<Snapshot>{
        .key = "created", .help = "When it was made, in UTC.", .get = value_of<&Snapshot::created>},
    Field<Snapshot>{.key = "generation",
                    .kind = FieldKind::counter,
                    .unit = Unit::changes,
                    .help = "Live changes of its limits so far.",
                    .get = value_of<&Snapshot::generation>},
    Field<Snapshot>{.key = "worker_slots",
                    .unit = Unit::workers,
                    .help = "Processes that may be attached at once.",
                    .get = value_of<&Snapshot::worker_slots>}};
inline constexpr std::array kUserTable{
    Field<UserTableStatus>{.key = "capacity",
                           .unit = Unit::entries,
                           .help = "Entries that it has room for.",
                           .get = value_of<&UserTableStatus::capacity>,
                           .more =
                               "A user takes one for each limit of each user that applies to it, and one for "
                               "each four permits."},
    Field<UserTableStatus>{.key = "occupied",
                           .kind = FieldKind::gauge,
                           .unit = Unit::entries,
                           .help = "Entries that name a user, whether it owes something or not.",
                           .get = value_of<&UserTableStatus::occupied>},
    Field<UserTableStatus>{.key = "active",
                           .kind = FieldKind::gauge,
                           .unit = Unit::entries,
                           .help = "Entries that hold something against a user.",
                           .get = value_of<&UserTableStatus::active>},
    Field<UserTableStatus>{
        .key = "when_full",
        .kind = FieldKind::state,
        .help = "What happens to a new user when something is owed in every entry: evict, refuse or admit.",
        .get = value_of<&UserTableStatus::when_full>},
    Field<UserTableStatus>{.key = "evicted",
                           .kind = FieldKind::counter,
                           .unit = Unit::users,
                           .help = "Users that were forgotten although they owed something.",
                           .get = value_of<&UserTableStatus::evicted>,
                           .more = "They got their tokens back early: raise `segment.users`."},
    Field<UserTableStatus>{.key = "refused",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that were refused because the table was full.",
                           .get = value_of<&UserTableStatus::refused>},
    Field<UserTableStatus>{.key = "unlimited",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that passed without their user's limits because it was full.",
                           .get = value_of<&UserTableStatus::unlimited>}};
inline constexpr std::array kBreakers{
    Field<BreakerStatus>{.key = "operation",
                         .help = "The operation that it guards.",
                         .get = value_of<&BreakerStatus::operation>},
    Field<BreakerStatus>{
        .key = "state",
        .kind = FieldKind::state,
        .help = "closed, open, half_open, forced_open, forced_closed, disabled or metrics_only.",
        .get = value_of<&BreakerStatus::state>,
        .title = "STATE"},
    Field<BreakerStatus>{
        .key = "failures_in_a_row",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Failed calls since the last one that succeeded.",
        .get = value_of<&BreakerStatus::failures_in_a_row>,
        .title = "FAILED IN A ROW",
        .of = [](const BreakerStatus& status) { return std::uint64_t{status.breaker.failures}; }},
    Field<BreakerStatus>{
        .key = "calls",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Calls in its window, if it has one, and in flight for longer than slow_call.",
        .get = value_of<&BreakerStatus::calls>,
        .title = "CALLS"},
    Field<BreakerStatus>{.key = "failures",
                         .kind = FieldKind::gauge,
                         .unit = Unit::calls,
                         .help = "Of these, those that failed.",
                         .get = value_of<&BreakerStatus::failures>,
                         .title = "FAILED"},
    Field<BreakerStatus>{.key = "slow",
                         .kind = FieldKind::gauge,
                         .unit = Unit::calls,
                         .help = "Of these, those that were slow, or are slow already while in flight.",
                         .get = value_of<&BreakerStatus::slow>,
                         .title = "SLOW"},
    Field<BreakerStatus>{
        .key = "probes_out",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Probes of the half-open breaker that have not reported yet.",
        .get = value_of<&BreakerStatus::probes_out>,
        .title = "PROBES",
        .of = [](const BreakerStatus& status) { return std::uint64_t{status.breaker.probes}; }},
    Field<BreakerStatus>{.key = "trips",
                         .kind = FieldKind::gauge,
                         .help = "How often it opened in a row without closing in between.",
                         .get = value_of<&BreakerStatus::trips>,
                         .more = "With `recovery_factor`, each trip makes the next recovery longer."},
    Field<BreakerStatus>{.key = "next_probe_s",
                         .kind = FieldKind::gauge,
                         .unit = Unit::seconds,
                         .help = "How long it still refuses before it lets a probe through.",
                         .get = value_of<&BreakerStatus::next_probe>,
                         .title = "NEXT PROBE",
                         .zero = "-"}};
inline constexpr std::array kDifference{
    Field<DifferenceStatus>{.key = "values",
                            .kind = FieldKind::gauge,
                            .help = "How many values differ.",
                            .get = value_of<&DifferenceStatus::values>},
    Field<DifferenceStatus>{
        .key = "key", .help = "The first of them.", .get = value_of<&DifferenceStatus::key>},
    Field<DifferenceStatus>{
        .key = "segment", .help = "Its value in the segment.", .get = value_of<&DifferenceStatus::here>},
    Field<DifferenceStatus>{.key = "configuration",
                            .help = "Its value in the configuration.",
                            .get = value_of<&DifferenceStatus::there>},
    Field<DifferenceStatus>{.key = "program",
                            .help = "The program that opened the segment with it.",
                            .get = value_of<&DifferenceStatus::program>},
    Field<DifferenceStatus>{
        .key = "pid", .help = "The process id of that program.", .get = value_of<&DifferenceStatus::pid>},
    Field<DifferenceStatus>{
        .key = "when", .help = "When it did so, in UTC.", .get = value_of<&DifferenceStatus::when>}};
inline constexpr std::array kWorkers{
    Field<WorkerStatus>{
        .key = "slot", .help = "The number of its worker slot.", .get = value_of<&WorkerStatus::slot>},
    Field<WorkerStatus>{.key = "pid",
                        .help = "Its process id, in its own PID namespace.",
                        .get = value_of<&WorkerStatus::pid>,
                        .title = "PID"},
    Field<WorkerStatus>{.key = "name",
                        .help = "The name of its program.",
                        .get = value_of<&WorkerStatus::name>,
                        .title = "NAME"},
    Field<WorkerStatus>{.key = "dead",
                        .kind = FieldKind::state,
                        .help = "Whether it has died, and a sweep has not yet returned what it held.",
                        .get = value_of<&WorkerStatus::dead>},
    Field<WorkerStatus>{.key = "since_s",
                        .kind = FieldKind::gauge,
                        .unit = Unit::seconds,
                        .help = "How long ago it joined.",
                        .get = value_of<&WorkerStatus::since>,
                        .title = "SINCE"},
    Field<WorkerStatus>{.key = "permits",
                        .kind = FieldKind::gauge,
                        .unit = Unit::permits,
                        .help = "Permits that it holds, of all limits.",
                        .get = value_of<&WorkerStatus::permits>,
                        .title = "PERMITS"},
    Field<WorkerStatus>{.key = "oldest_s",
                        .kind = FieldKind::gauge,
                        .unit = Unit::seconds,
                        .help = "The age of the oldest permit that it holds of a limit over all users.",
                        .get = value_of<&WorkerStatus::oldest>,
                        .more = "In steps of 0.067 s. Permits of limits of each user have no age.",
                        .title = "OLDEST",
                        .zero = "-"}};
inline constexpr std::array kSwept{
    Field<SweepStatus>{.key = "workers",
                       .kind = FieldKind::counter,
                       .unit = Unit::workers,
                       .help = "Dead workers that were swept.",
                       .get = value_of<&SweepStatus::workers>},
    Field<SweepStatus>{.key = "permits",
                       .kind = FieldKind::counter,
                       .unit = Unit::permits,
                       .help = "Permits that were taken back from them.",
                       .get = value_of<&SweepStatus::permits>},
    Field<SweepStatus>{
        .key = "late_releases",
        .kind = FieldKind::counter,
        .unit = Unit::permits,
        .help = "Permits that were given back after they had been taken back.",
        .get = value_of<&SweepStatus::late_releases>,
        .more =
            "Each of them belonged to a worker that was taken for dead but lived; nothing was freed twice."}};
inline constexpr std::array kOperation{Field<std::string>{
    .key = "", .help = "Its name.", .get = [](const std::string& name) { return FieldValue(name); }}};

// --- What other commands show.

inline constexpr std::array kUsers{
    Field<UserEntry>{.key = "user",
                     .help = "The user's name as far as it is remembered, or # and a hash of it.",
                     .get = value_of<&UserEntry::user>},
    Field<UserEntry>{.key = "name",
                     .kind = FieldKind::state,
                     .help = "What `user` is: the whole name, one that was cut to 48 bytes, or a hash.",
                     .get = value_of<&UserEntry::name>,
                     .more = "Names are remembered if `segment.key_names` is set. Only a user whose whole "
                             "name is known can be looked up or reset."},
    Field<UserEntry>{
        .key = "limit", .help = "The limit's key in the configuration.", .get = value_of<&UserEntry::limit>},
    Field<UserEntry>{.key = "available",
                     .kind = FieldKind::gauge,
                     .unit = Unit::requests,
                     .help = "Tokens, requests or permits that are left.",
                     .get = value_of<&UserEntry::available>},
    Field<UserEntry>{.key = "of",
                     .unit = Unit::requests,
                     .help = "The most that can be available.",
                     .get = value_of<&UserEntry::of>},
    Field<UserEntry>{.key = "permits",
                     .kind = FieldKind::gauge,
                     .unit = Unit::permits,
                     .help = "Permits that the user holds.",
                     .get = value_of<&UserEntry::permits>},
    Field<UserEntry>{.key = "retry_after_s",
                     .kind = FieldKind::gauge,
                     .unit = Unit::seconds,
                     .help = "Time until one more request would pass; 0 if it would now.",
                     .get = value_of<&UserEntry::retry_after>}};
inline constexpr std::array kSegments{
    Field<SegmentEntry>{.key = "name", .help = "Its name.", .get = value_of<&SegmentEntry::name>},
    Field<SegmentEntry>{.key = "layout_version",
                        .help = "The version of its layout.",
                        .get = value_of<&SegmentEntry::layout_version>},
    Field<SegmentEntry>{.key = "owner",
                        .help = "The number of the user who owns its file.",
                        .get = value_of<&SegmentEntry::owner>},
    Field<SegmentEntry>{.key = "group",
                        .help = "The number of the group of its file.",
                        .get = value_of<&SegmentEntry::group>},
    Field<SegmentEntry>{.key = "mode",
                        .help = "The permission bits of its file, in octal digits.",
                        .get = [](const SegmentEntry& entry) { return FieldValue(mode_text(entry.mode)); }},
    Field<SegmentEntry>{.key = "bytes",
                        .unit = Unit::bytes,
                        .help = "The size of its file.",
                        .get = value_of<&SegmentEntry::bytes>},
    Field<SegmentEntry>{.key = "workers",
                        .kind = FieldKind::gauge,
                        .unit = Unit::workers,
                        .help = "Living processes that have joined it; null if that is not known.",
                        .get =
                            [](const SegmentEntry& entry) {
                              return entry.problem.empty() ? detail::to_value(entry.workers)
                                                           : FieldValue(nullptr);
                            }},
    Field<SegmentEntry>{.key = "problem",
                        .help = "Why it cannot be read; empty if it can.",
                        .get = value_of<&SegmentEntry::problem>}};
inline constexpr std::array kHistory{
    Field<ChangeEntry>{
        .key = "generation",
        .unit = Unit::changes,
        .help = "The generation that it led to; changes that were made together have the same.",
        .get = value_of<&ChangeEntry::generation>},
    Field<ChangeEntry>{
        .key = "when", .help = "When it was made, in UTC.", .get = value_of<&ChangeEntry::when>},
    Field<ChangeEntry>{
        .key = "program", .help = "The program that made it.", .get = value_of<&ChangeEntry::program>},
    Field<ChangeEntry>{
        .key = "pid", .help = "The process id of that program.", .get = value_of<&ChangeEntry::pid>},
    Field<ChangeEntry>{
        .key = "uid", .help = "The user id of that program.", .get = value_of<&ChangeEntry::uid>},
    Field<ChangeEntry>{.key = "key",
                       .help = "What was changed.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.key); }},
    Field<ChangeEntry>{.key = "from",
                       .help = "Its value before.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.from); }},
    Field<ChangeEntry>{.key = "to",
                       .help = "Its value after.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.to); }},
    Field<ChangeEntry>{.key = "undoes",
                       .help = "The first generation that this rollback took back, with all after it; null "
                               "for any other change.",
                       .get = [](const ChangeEntry& entry) {
                         return entry.undoes == 0 ? FieldValue(nullptr) : FieldValue(entry.undoes);
                       }}};
inline constexpr std::array kChanges{
    Field<ConfigChange>{.key = "key", .help = "What is changed.", .get = value_of<&ConfigChange::key>},
    Field<ConfigChange>{.key = "from", .help = "Its value before.", .get = value_of<&ConfigChange::from>},
    Field<ConfigChange>{.key = "to", .help = "Its value after.", .get = value_of<&ConfigChange::to>}};
inline constexpr std::array kValues{
    Field<ConfigValue>{
        .key = "key", .help = "Its key in the configuration.", .get = value_of<&ConfigValue::key>},
    Field<ConfigValue>{.key = "value", .help = "The value, as TOML.", .get = value_of<&ConfigValue::value>},
    Field<ConfigValue>{.key = "origin",
                       .help = "The file, line and column, or the variable, that it comes from.",
                       .get = value_of<&ConfigValue::origin>}};
inline constexpr std::array kReset{Field<ResetReport>{.key = "limits",
                                                      .help = "Limits over all users that were reset.",
                                                      .get = value_of<&ResetReport::limits>},
                                   Field<ResetReport>{.key = "users",
                                                      .unit = Unit::entries,
                                                      .help = "Entries of users that were reset.",
                                                      .get = value_of<&ResetReport::users>}};

}  // namespace weir::fields

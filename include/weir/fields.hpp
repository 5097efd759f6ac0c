// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every value that the inspector shows, described once: its key, what it is, its unit, and what it means. The
// screens of shm-inspect, its --json, its --help and docs/inspector.md walk these lists, and so can an exporter
// or a dashboard. A new value is a member of a row (inspect.hpp) and a field of its list here.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/export.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

namespace weir {

enum class FieldKind : std::uint8_t {
  label = 0,    ///< what the row is about, or how it was configured
  state = 1,    ///< one of a few words
  gauge = 2,    ///< goes up and down
  counter = 3,  ///< only goes up while the segment lives
};

enum class Unit : std::uint8_t {
  none = 0,
  requests = 1,
  permits = 2,
  users = 3,
  entries = 4,
  calls = 5,
  workers = 6,
  changes = 7,
  seconds = 8,
  bytes = 9,
};

// The words of what is shown.
[[nodiscard]] WEIR_EXPORT std::string_view to_string(FieldKind kind) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Unit unit) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Mode mode) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(WindowKind kind) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(TableFull policy) noexcept;
/// "2024-01-31T12:00:00Z"
[[nodiscard]] WEIR_EXPORT std::string utc_text(std::chrono::system_clock::time_point time);
/// The permission bits of a file: "0600"
[[nodiscard]] WEIR_EXPORT std::string mode_text(std::uint32_t mode);

/// What a field holds. monostate: it says nothing about such a row, and is left out; nullptr: it is not known.
using FieldValue = std::variant<std::monostate, std::nullptr_t, bool, std::uint64_t, std::chrono::nanoseconds,
                                std::chrono::system_clock::time_point, std::string>;

/// A value of every row of a list.
template <class Row>
struct Field {
  std::string_view key;  ///< in JSON; one that counts seconds ends in _s
  FieldKind kind = FieldKind::label;
  Unit unit = Unit::none;
  std::string_view help;  ///< one sentence
  FieldValue (*get)(const Row&) = nullptr;
  std::string_view more = {};   ///< what a reference page says beside that
  std::string_view title = {};  ///< of its column on a screen; empty: it has none
  std::string_view zero = {};   ///< what a screen says for 0 or false
  /// What the value is a part of, if it is one; a screen shows "3/20".
  std::uint64_t (*of)(const Row&) = nullptr;
};

/// The fields of one type of row.
template <class Row>
struct FieldList {
  std::string_view key;    ///< of the list in JSON
  std::string_view title;  ///< of the first column on a screen; empty: it has no screen
  std::string_view help;   ///< one sentence
  std::span<const Field<Row>> fields;
  /// Whether an operator should look at a row.
  bool (*needs_attention)(const Row&) = nullptr;
};

/// A list that is a part of a snapshot.
template <class Row>
struct SnapshotPart : FieldList<Row> {
  std::vector<Row> (*rows)(const Snapshot&) = nullptr;
  bool is_object = false;  ///< one row or none, and in JSON no list
};

namespace detail {

template <class T>
[[nodiscard]] FieldValue to_value(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(to_string(value));
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return std::uint64_t{value};
  } else {
    return value;
  }
}

template <auto Member>
struct ValueOf;
template <class Row, class T, T Row::*Member>
struct ValueOf<Member> {
  static FieldValue get(const Row& row) { return to_value(row.*Member); }
};

}  // namespace detail

/// Field::get of a member: value_of<&WorkerStatus::pid>.
template <auto Member>
inline constexpr auto value_of = &detail::ValueOf<Member>::get;

// --- The limits: one list of a snapshot, shown in parts.

namespace fields {

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
    .help = "Its place in the configuration.",
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
                                             .help = "Whether it holds for each user alone.",
                                             .get = value_of<&LimitStatus::per_user>};
inline constexpr Field<LimitStatus> kWouldRefuse{
    .key = "would_refuse",
    .kind = FieldKind::counter,
    .unit = Unit::requests,
    .help = "Requests that a limit which only counts would have refused.",
    .get = value_of<&LimitStatus::would_refuse>,
    .more = "0 of an enforced limit. The count goes on when the limit changes."};
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
    .help = "Of the active users, those whose next request it would refuse.",
    .get = [](const LimitStatus& limit) { return if_per_user(limit, limit.exhausted); },
    .title = "EXHAUSTED"};
inline constexpr Field<LimitStatus> kAvailable{
    .key = "available",
    .kind = FieldKind::gauge,
    .unit = Unit::requests,
    .help = "The largest cost of a request that would pass now.",
    .get = [](const LimitStatus& limit) { return if_shared(limit, limit.available()); },
    .more = "Of a rate the tokens in its bucket, of a window what is left of its limit.",
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
    .help = "Permits that are held now; of a limit of each user, by all of them.",
    .get = value_of<&LimitStatus::used>,
    .more =
        "May be above a limit that was lowered: the permits beyond it drain, and none is given meanwhile.",
    .title = "IN USE"};

inline constexpr Field<LimitStatus> kRate{
    .key = "rate",
    .help = "As it is written in a configuration.",
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
                       .help = "As it is written in a configuration.",
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
                       .help = "Time until it ends; 0 where it is not on, and of a cooldown of each user.",
                       .get = value_of<&LimitStatus::resets_in>,
                       .title = "BLOCKED FOR",
                       .zero = "-"},
    Field<LimitStatus>{.key = "blocked_users",
                       .kind = FieldKind::gauge,
                       .unit = Unit::users,
                       .help = "Users whom it blocks now; 0 of a cooldown over all users.",
                       .get = value_of<&LimitStatus::exhausted>,
                       .title = "BLOCKED USERS",
                       .zero = "-"},
    kWouldRefuse};
/// Of limits of any kind that only count.
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
                    .help = "Tells it from every other segment, also from one of the same name before it.",
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
    Field<UserTableStatus>{.key = "when_full",
                           .kind = FieldKind::state,
                           .help =
                               "What happens to a new user when all entries owe something: evict, refuse or "
                               "admit.",
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
                         .help = "How often it opened in a row, without closing between.",
                         .get = value_of<&BreakerStatus::trips>,
                         .more = "With `recovery_factor` each of them makes the next recovery longer."},
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
        .key = "slot", .help = "Its place among the worker slots.", .get = value_of<&WorkerStatus::slot>},
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
    Field<SweepStatus>{.key = "late_releases",
                       .kind = FieldKind::counter,
                       .unit = Unit::permits,
                       .help = "Permits that were given back after they had been taken back.",
                       .get = value_of<&SweepStatus::late_releases>,
                       .more =
                           "Each of them was a worker that was taken for dead and lived; nothing was freed "
                           "twice."}};
inline constexpr std::array kOperation{Field<std::string>{
    .key = "", .help = "Its name.", .get = [](const std::string& name) { return FieldValue(name); }}};

// --- What other commands show.

inline constexpr std::array kUsers{
    Field<UserEntry>{.key = "user",
                     .help = "The user's key as far as it is remembered, else # and a hash of it.",
                     .get = value_of<&UserEntry::user>},
    Field<UserEntry>{.key = "name",
                     .kind = FieldKind::state,
                     .help = "What `user` is: the whole key, one that was cut to 48 bytes, or a hash.",
                     .get = value_of<&UserEntry::name>,
                     .more =
                         "Names are remembered where `segment.key_names` says so. Only a whole one can be "
                         "looked up or reset by."},
    Field<UserEntry>{.key = "limit",
                     .help = "The limit's place in the configuration.",
                     .get = value_of<&UserEntry::limit>},
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
                     .help = "Time until one more request would pass; 0 where it would now.",
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
                        .help = "Living processes that have joined it; null where that is not known.",
                        .get =
                            [](const SegmentEntry& entry) {
                              return entry.problem.empty() ? detail::to_value(entry.workers)
                                                           : FieldValue(nullptr);
                            }},
    Field<SegmentEntry>{.key = "problem",
                        .help = "Why it cannot be read; empty where it can.",
                        .get = value_of<&SegmentEntry::problem>}};
inline constexpr std::array kHistory{
    Field<ChangeEntry>{.key = "generation",
                       .unit = Unit::changes,
                       .help = "The generation that it led to; changes made together have the same.",
                       .get = value_of<&ChangeEntry::generation>},
    Field<ChangeEntry>{.key = "when", .help = "When, in UTC.", .get = value_of<&ChangeEntry::when>},
    Field<ChangeEntry>{
        .key = "program", .help = "The program that made it.", .get = value_of<&ChangeEntry::program>},
    Field<ChangeEntry>{
        .key = "pid", .help = "The process id of that program.", .get = value_of<&ChangeEntry::pid>},
    Field<ChangeEntry>{.key = "uid", .help = "Its user.", .get = value_of<&ChangeEntry::uid>},
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
                       .help =
                           "The first generation that this rollback took back, with all up to its own; null "
                           "of any other change.",
                       .get = [](const ChangeEntry& entry) {
                         return entry.undoes == 0 ? FieldValue(nullptr) : FieldValue(entry.undoes);
                       }}};
inline constexpr std::array kChanges{
    Field<ConfigChange>{.key = "key", .help = "What is changed.", .get = value_of<&ConfigChange::key>},
    Field<ConfigChange>{.key = "from", .help = "Its value before.", .get = value_of<&ConfigChange::from>},
    Field<ConfigChange>{.key = "to", .help = "Its value after.", .get = value_of<&ConfigChange::to>}};
inline constexpr std::array kValues{
    Field<ConfigValue>{
        .key = "key", .help = "Its place in the configuration.", .get = value_of<&ConfigValue::key>},
    Field<ConfigValue>{.key = "value", .help = "The value, as TOML.", .get = value_of<&ConfigValue::value>},
    Field<ConfigValue>{.key = "origin",
                       .help = "The file, line and column, or the variable, that it comes from.",
                       .get = value_of<&ConfigValue::origin>}};
inline constexpr std::array kReset{Field<ResetReport>{.key = "limits",
                                                      .help = "Limits over all users that were set back.",
                                                      .get = value_of<&ResetReport::limits>},
                                   Field<ResetReport>{.key = "users",
                                                      .unit = Unit::entries,
                                                      .help = "Entries of users that were set back.",
                                                      .get = value_of<&ResetReport::users>}};

}  // namespace fields

// --- The lists.

inline constexpr FieldList<Snapshot> kSegmentFields{"", "", "The segment itself.", fields::kSegment};
inline constexpr FieldList<UserEntry> kUserFields{
    "users", "", "What one limit holds against one user, one row for each such pair.", fields::kUsers};
inline constexpr FieldList<SegmentEntry> kSegmentEntryFields{
    "segments", "", "One row for each segment of this host.", fields::kSegments};
inline constexpr FieldList<ChangeEntry> kHistoryFields{
    "changes", "", "One row for each changed value, newest first.", fields::kHistory};
inline constexpr FieldList<ConfigChange> kChangeFields{
    "changes", "", "One row for each value that was changed, or with --dry-run would be.", fields::kChanges};
inline constexpr FieldList<ConfigValue> kValueFields{
    "values", "", "One row for each value of a configuration.", fields::kValues};
inline constexpr FieldList<ResetReport> kResetFields{"", "", "What was set back.", fields::kReset};

inline constexpr SnapshotPart<std::string> kOperations{
    {"operations", "", "The names of the operations.", fields::kOperation, nullptr},
    [](const Snapshot& snapshot) {
      std::vector<std::string> names;
      for (const auto& operation : snapshot.config.operations) names.push_back(operation.first);
      return names;
    }};
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
     "One row for each window; available and full_in_s of one over all users, active and exhausted of one of "
     "each user.",
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
     }},
    [](const Snapshot& snapshot) { return snapshot.breakers; }};
inline constexpr SnapshotPart<UserTableStatus> kUserTable{
    {"user_table", "", "The table of users as a whole.", fields::kUserTable, nullptr},
    [](const Snapshot& snapshot) { return std::vector{snapshot.table}; },
    true};
inline constexpr SnapshotPart<DifferenceStatus> kDifference{
    {"difference", "",
     "The last configuration that a process opened the segment with and that it does not enforce; null where "
     "there is none.",
     fields::kDifference, nullptr},
    [](const Snapshot& snapshot) {
      return snapshot.difference ? std::vector{*snapshot.difference} : std::vector<DifferenceStatus>();
    },
    true};
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
  visit(kWorkers);
  visit(kSwept);
}

// --- JSON, in a type of the caller's: nlohmann::json, or one that is used like it.

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

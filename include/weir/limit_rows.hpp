// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every value that the inspector shows of limits. A snapshot has one list of them, which is shown in parts, by kind. A
// new value is a member of LimitStatus (inspect.hpp) and a field here.

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/field.hpp"
#include "weir/inspect.hpp"
#include "weir/policy.hpp"

namespace weir::fields {

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
inline constexpr Field<LimitStatus> kRefused{
    .key = "refused",
    .kind = FieldKind::counter,
    .unit = Unit::requests,
    .help = "Requests that it refused.",
    .get = value_of<&LimitStatus::refused>,
    .more =
        "Of several limits that refuse a request, the one with the longest wait is counted. Refusals of a "
        "user with "
        "limits of its own count under the same limits of the operation."};
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

inline constexpr Field<LimitStatus> kLeased{
    .key = "leased",
    .kind = FieldKind::gauge,
    .unit = Unit::requests,
    .help = "Tokens that processes took in advance, to spend them without waiting for each other.",
    .get = value_of<&LimitStatus::leased>,
    .more =
        "Those of the last 17 ms or less. What a process does not spend within 10 ms is lost, and time "
        "refills it. "
        "While tokens are taken in advance, a 64th of the bucket, or what it earns in 10 ms if that is less, "
        "is kept "
        "back, and is not available.",
    .title = "LEASED",
    .zero = "-"};

inline constexpr std::array kSharedRates{kName,   kRate,    kCount,      kPeriod,
                                         kBurst,  kMode,    kAvailable,  resets_in("FULL IN", "full"),
                                         kLeased, kRefused, kWouldRefuse};
inline constexpr std::array kUserRates{kName, kRate,   kCount,     kPeriod,  kBurst,
                                       kMode, kActive, kExhausted, kRefused, kWouldRefuse};
[[nodiscard]] constexpr Field<LimitStatus> in_use_of_limit() {
  Field<LimitStatus> field = kInUse;
  field.of = capacity;
  return field;
}
[[nodiscard]] constexpr Field<LimitStatus> with_title(Field<LimitStatus> field, std::string_view title) {
  field.title = title;
  return field;
}
inline constexpr std::array kSharedPermits{kName, kPermits, in_use_of_limit(), kMode, kRefused, kWouldRefuse};
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
                                         kRefused,
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
    kRefused,
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
    kRefused,
    kWouldRefuse};
/// The fields of the list of all limits that only count.
inline constexpr std::array kCounting{kName, with_title(kMode, "MODE"),
                                      with_title(kWouldRefuse, "WOULD HAVE REFUSED")};

}  // namespace weir::fields

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every key of the configuration, described once: the member that it sets, its bounds, and a line of help.
//
// Reading, writing, validate(), the names of the environment, the hints of errors and docs/configuration.md all walk
// these lists. The default of a key is the value of its member in a new object; such a value may be left out.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/policy.hpp"

#include "base/owner.hpp"
#include "policy/breakers.hpp"
#include "policy/params.hpp"
#include "primitives/breaker_phase.hpp"
#include "primitives/lease.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

using Names = std::span<const std::string_view>;

inline constexpr auto kTableFullNames = std::to_array<std::string_view>({"evict", "refuse", "admit"});
inline constexpr auto kOnFaultNames = std::to_array<std::string_view>({"refuse", "admit", "local"});
inline constexpr auto kMetricsNames = std::to_array<std::string_view>({"times", "counts", "off"});
inline constexpr auto kOnDifferenceNames = std::to_array<std::string_view>({"keep", "apply", "refuse"});
inline constexpr auto kQueueOrderNames = std::to_array<std::string_view>({"fifo", "lifo"});
inline constexpr auto kWindowKindNames =
    std::to_array<std::string_view>({"automatic", "log", "ring", "fixed", "weighted"});

/// The words for an enumeration, in the order of its values.
constexpr Names names_of(TableFull /*type*/) {
  return kTableFullNames;
}
constexpr Names names_of(OnFault /*type*/) {
  return kOnFaultNames;
}
constexpr Names names_of(Metrics /*type*/) {
  return kMetricsNames;
}
constexpr Names names_of(OnDifference /*type*/) {
  return kOnDifferenceNames;
}
constexpr Names names_of(WindowKind /*type*/) {
  return kWindowKindNames;
}
constexpr Names names_of(QueueOrder /*type*/) {
  return kQueueOrderNames;
}

// The kinds of settings. Each names the member of a T that its key sets, and the bounds of its values.

/// The default of a key: the value of its member in a new object.
template <class T, class Value>
[[nodiscard]] Value default_of(Value T::*member) {
  const T untouched{};
  return untouched.*member;
}

/// Text, a flag or one of several words.
template <class T, class Value>
struct Plain {
  Value T::*member;
};
template <class T, class Value>
Plain(Value T::*) -> Plain<T, Value>;
/// A whole number.
template <class T, class Value>
struct Whole {
  Value T::*member;
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
};
template <class T, class Value, class... Bounds>
Whole(Value T::*, Bounds...) -> Whole<T, Value>;
/// A fraction, kept as a whole number of parts; there are `parts` of them in 1.
template <class T>
struct Decimal {
  double T::*member;
  double least;
  double most;
  std::uint32_t parts;
};
/// A whole number from 1 on, or "off", which is 0.
template <class T>
struct CountOrOff {
  std::optional<std::uint32_t> T::*member;
  std::uint32_t most;
  std::string_view normally;  ///< what it is if it is left out
};
inline constexpr std::string_view kOff = "off";
/// A length of time, a multiple of `step`.
template <class T>
struct Length {
  std::chrono::nanoseconds T::*member;
  std::chrono::nanoseconds most;
  std::chrono::nanoseconds step = std::chrono::milliseconds(1);
};
/// A list of whole numbers, one for each of the classes below the most urgent one, `most` at most together.
template <class T>
struct Shares {
  decltype(Queue::shares) T::*member;
  std::uint32_t most;
};
/// Permission bits.
template <class T>
struct Octal {
  std::uint32_t T::*member;
};
/// A limit or another table, which has keys of its own. `per_user` says that it stands among the limits of each user.
template <class T, class Value>
struct Part {
  Value T::*member;
  bool per_user = false;
};
/// A rate or a window in its short form, as in "30/min burst 10".
struct LimitText {
  std::string_view what;
  std::string_view example;
};
/// Whether a rate or a window only counts: its Mode, written as a flag.
struct ShadowMode {};
/// A second rate or window, which is the next one in the list of limits.
struct CandidateText {
  std::string_view what;
};

/// The kinds of settings that the keys of a T may have.
template <class T>
struct SettingOf;
template <>
struct SettingOf<SegmentPolicy> {
  template <class Value>
  using PlainOf = Plain<SegmentPolicy, Value>;
  template <class Value>
  using WholeOf = Whole<SegmentPolicy, Value>;
  using Any = std::variant<PlainOf<std::string>, PlainOf<bool>, PlainOf<TableFull>, PlainOf<OnFault>,
                           PlainOf<OnDifference>, PlainOf<Metrics>, WholeOf<std::uint32_t>,
                           WholeOf<std::uint64_t>, Octal<SegmentPolicy>>;
};
template <>
struct SettingOf<Rate> {
  using Any = std::variant<LimitText, ShadowMode, CandidateText, CountOrOff<Rate>>;
};
template <>
struct SettingOf<Window> {
  using Any = std::variant<LimitText, Plain<Window, WindowKind>, ShadowMode, CandidateText>;
};
template <>
struct SettingOf<Concurrency> {
  using Any = std::variant<Whole<Concurrency, std::uint32_t>, Plain<Concurrency, bool>>;
};
template <>
struct SettingOf<Cooldown> {
  using Any = std::variant<Length<Cooldown>, Whole<Cooldown, std::uint32_t>, Plain<Cooldown, bool>>;
};
template <>
struct SettingOf<Queue> {
  using Any = std::variant<Whole<Queue, std::uint32_t>, Length<Queue>, Plain<Queue, QueueOrder>,
                           Shares<Queue>, Plain<Queue, bool>>;
};
template <>
struct SettingOf<weir::Breaker> {
  using Any = std::variant<Whole<weir::Breaker, std::uint32_t>, Decimal<weir::Breaker>, Length<weir::Breaker>,
                           Plain<weir::Breaker, bool>>;
};
template <>
struct SettingOf<Limits> {
  using Any = std::variant<Part<Limits, std::vector<Rate>>, Part<Limits, std::vector<Window>>,
                           Part<Limits, Concurrency>, Part<Limits, Cooldown>>;
};
template <>
struct SettingOf<OperationPolicy> {
  using Any =
      std::variant<Part<OperationPolicy, std::optional<weir::Breaker>>, Part<OperationPolicy, Limits>>;
};
template <>
struct SettingOf<UserOverride> {
  using Any = std::variant<Plain<UserOverride, bool>>;
};

struct KeyTable;

/// A key as it is written in a file.
struct Key {
  std::string_view name;
  std::string_view help;
  const KeyTable* parts = nullptr;  ///< the keys within its value, if the value may be a table
};

/// The keys of a table. If its keys are names (of operations or users), `named` is the table under each name.
struct KeyTable {
  std::span<const Key> keys;
  const KeyTable* named = nullptr;
};

template <class T>
struct Field : Key {
  typename SettingOf<T>::Any setting;
};

template <class T, std::size_t N>
constexpr std::array<Key, N> keys_of(const std::array<Field<T>, N>& fields) {
  std::array<Key, N> keys{};
  for (std::size_t i = 0; i < N; ++i) keys[i] = fields[i];
  return keys;
}

template <std::size_t... N>
constexpr auto all_of(const std::array<Key, N>&... lists) {
  std::array<Key, (N + ...)> keys{};
  std::size_t at = 0;
  const auto add = [&](const auto& list) {
    for (const Key& key : list) keys[at++] = key;
  };
  (add(lists), ...);
  return keys;
}

inline constexpr auto kMaxLength = std::chrono::milliseconds(kMaxWindowMs);
inline constexpr auto kMaxTimeout = std::chrono::milliseconds(kMaxTimeoutMs);
inline constexpr auto kMaxBreakerLength = std::chrono::nanoseconds(kMaxBreakerTicks >> kTickShift);
inline constexpr std::uint32_t kMaxKeyNames = 16'777'216;

// The segment ------------------------------------------------------------------------------------------------

inline constexpr auto kSegmentFields = std::to_array<Field<SegmentPolicy>>({
    {{"name", "Name of the segment: one name, one set of limits on this host"}, Plain{&SegmentPolicy::name}},
    {{"users", "How many users may owe something at once; each costs 22 bytes per limit that applies to it"},
     Whole{&SegmentPolicy::users, 1, 1'000'000'000}},
    {{"limits_per_user",
      "For how many limits of each user there is room; 0 means those of the configuration, and at least four "
      "where that takes no more than 64 MiB"},
     Whole{&SegmentPolicy::limits_per_user, 0, 255}},
    {{"workers", "How many processes may be attached at once; each costs 128 bytes"},
     Whole{&SegmentPolicy::workers, 1, kMaxWorkers}},
    {{"when_full",
      "What happens to a new user when something is owed in every entry of the table: forget the user who "
      "owes least, refuse the new one, or admit it without limits of its own"},
     Plain{&SegmentPolicy::when_full}},
    {{"mode", "Permission bits of the segment: 0600, 0640 or 0660"},
     Octal<SegmentPolicy>{&SegmentPolicy::mode}},
    {{"group", "Name of the group that may attach too; if it is empty, the creator's own group"},
     Plain{&SegmentPolicy::group}},
    {{"reserve",
      "Whether the memory is taken when the segment is made, so that a full /dev/shm is an error then"},
     Plain{&SegmentPolicy::reserve}},
    {{"huge_pages", "Whether to ask for huge pages, which spare TLB misses in a large user table"},
     Plain{&SegmentPolicy::huge_pages}},
    {{"key_names",
      "How many names of users the inspector can show, at 64 bytes each; 0 keeps all names out of the "
      "segment"},
     Whole{&SegmentPolicy::key_names, 0, kMaxKeyNames}},
    {{"metrics",
      "What is counted of each operation: times (verdicts, outcomes and response times), counts (without "
      "response times) or off; a worker takes 8 KiB for each operation that it meets"},
     Plain{&SegmentPolicy::metrics}},
    {{"on_fault",
      "What is answered while there is no usable segment: refuse, admit, or use limits of this process "
      "alone"},
     Plain{&SegmentPolicy::on_fault}},
    {{"on_difference",
      "What opening does when the segment enforces other limits: keep them, apply the configuration, or "
      "fail"},
     Plain{&SegmentPolicy::on_difference}},
    {{"local_workers", "Over how many workers on_fault = \"local\" divides the limits"},
     Whole{&SegmentPolicy::local_workers, 1}},
});
inline constexpr auto kSegmentKeys = keys_of(kSegmentFields);
inline constexpr KeyTable kSegmentTable{kSegmentKeys};

// Limits -----------------------------------------------------------------------------------------------------

inline constexpr std::string_view kCandidate = "candidate";

inline constexpr auto kRateFields = std::to_array<Field<Rate>>({
    {{"limit", "The rate itself"}, LimitText{"a rate", "30/min burst 10"}},
    {{"shadow", "Count what the limit would refuse, and refuse nothing"}, ShadowMode{}},
    {{kCandidate, "A second rate, which is only counted beside the one in force"}, CandidateText{"a rate"}},
    {{"lease",
      "For a rate over all users: how many requests a process takes out of the bucket in advance, so that "
      "processes need not wait for each other"},
     CountOrOff<Rate>{&Rate::lease, LeaseTerms::kTokens, "none, until it pays"}},
});
inline constexpr auto kRateKeys = keys_of(kRateFields);
inline constexpr KeyTable kRateTable{kRateKeys};

inline constexpr auto kWindowFields = std::to_array<Field<Window>>({
    {{"limit", "The window itself"}, LimitText{"a window", "100 per 1min"}},
    {{"kind",
      "How it is kept: log is exact, ring counts in cells, fixed is aligned to UTC, weighted is for users "
      "alone; automatic takes log up to 65,535 and ring above, or weighted for users"},
     Plain{&Window::kind}},
    {{"shadow", "Count what the limit would refuse, and refuse nothing"}, ShadowMode{}},
    {{kCandidate, "A second window of the same kind, which is only counted beside the one in force"},
     CandidateText{"a window"}},
});
inline constexpr auto kWindowKeys = keys_of(kWindowFields);
inline constexpr KeyTable kWindowTable{kWindowKeys};

// A limit of 0 would refuse everything, so it is out of bounds; to have no limit, leave the key out or write false.
constexpr auto concurrent_fields(std::uint32_t most) {
  return std::to_array<Field<Concurrency>>({
      {{"limit", "How many requests may be in progress at once"}, Whole{&Concurrency::limit, 1, most}},
      {{"shadow", "Count what the limit would refuse, and refuse nothing"}, Plain{&Concurrency::shadow}},
      {{kCandidate, "A second limit, which is only counted beside the one in force"},
       Whole{&Concurrency::candidate, 1, most}},
  });
}
inline constexpr auto kConcurrentFields = concurrent_fields(kMaxPermits);
inline constexpr auto kUserConcurrentFields = concurrent_fields(kMaxUserPermits);
inline constexpr auto kConcurrentKeys = keys_of(kConcurrentFields);
inline constexpr KeyTable kConcurrentTable{kConcurrentKeys};

inline constexpr auto kCooldownFields = std::to_array<Field<Cooldown>>({
    {{"for", "How long everything is refused"}, Length<Cooldown>{&Cooldown::length, kMaxLength}},
    {{"refusals", "How many refusals in a row, by the rates and windows of the same scope, begin it"},
     Whole{&Cooldown::refusals, 1, 255}},
    {{"shadow", "Count what the limit would refuse, and refuse nothing"}, Plain{&Cooldown::shadow}},
});
inline constexpr auto kCooldownKeys = keys_of(kCooldownFields);
inline constexpr KeyTable kCooldownTable{kCooldownKeys};

inline constexpr auto kBreakerFields = std::to_array<Field<weir::Breaker>>({
    {{"failures", "Opens after this many failures in a row; 0: does not count them"},
     Whole{&weir::Breaker::failures, 0, 65'535}},
    {{"failure_rate", "Opens when this share of the calls in the window failed; 0: does not look at it"},
     Decimal<weir::Breaker>{&weir::Breaker::failure_rate, 0, 1, kShareParts}},
    {{"slow_rate", "Opens when this share of the calls in the window was slow; 0: does not look at it"},
     Decimal<weir::Breaker>{&weir::Breaker::slow_rate, 0, 1, kShareParts}},
    {{"slow_call", "A call that takes longer is slow, also while it is in flight"},
     Length<weir::Breaker>{&weir::Breaker::slow_call, kMaxLength, std::chrono::nanoseconds(1)}},
    {{"minimum_calls",
      "Calls in the window before a rate counts; if left out 10, or window_calls where that is less"},
     Whole{&weir::Breaker::minimum_calls, 1, 65'535}},
    {{"window", "How long calls count towards the rates"},
     Length<weir::Breaker>{&weir::Breaker::window, kMaxLength}},
    {{"window_calls", "Instead of window: how many of the last calls count"},
     Whole{&weir::Breaker::window_calls, 0, 65'535}},
    {{"recovery", "How long it stays open before it lets probes through; required"},
     Length<weir::Breaker>{&weir::Breaker::recovery, kMaxBreakerLength}},
    {{"recovery_factor", "The recovery grows by this factor with each trip in a row"},
     Decimal<weir::Breaker>{&weir::Breaker::recovery_factor, 1, 100, kFactorParts}},
    {{"max_recovery", "The longest that the recovery grows to"},
     Length<weir::Breaker>{&weir::Breaker::max_recovery, kMaxBreakerLength, std::chrono::nanoseconds(1)}},
    {{"jitter", "Up to this share of the recovery is added at random"},
     Decimal<weir::Breaker>{&weir::Breaker::jitter, 0, 1, kShareParts}},
    {{"probes", "How many calls may probe at once while it is half open"},
     Whole{&weir::Breaker::probes, 1, 16}},
    {{"successes", "How many good probes in a row close it"}, Whole{&weir::Breaker::successes, 1, 255}},
    {{"probe_timeout", "A probe that has not reported by then is given up; if left out, the recovery"},
     Length<weir::Breaker>{&weir::Breaker::probe_timeout, kMaxBreakerLength}},
    {{"shadow", "Count what the breaker would refuse, and refuse nothing"}, Plain{&weir::Breaker::shadow}},
});
inline constexpr auto kBreakerKeys = keys_of(kBreakerFields);
inline constexpr KeyTable kBreakerTable{kBreakerKeys};

// Scopes: what a table of limits holds -----------------------------------------------------------------------

constexpr auto limits_fields(bool per_user) {
  return std::to_array<Field<Limits>>({
      {{"rate", "Token buckets: one, or a list of up to 6, candidates included", &kRateTable},
       Part<Limits, std::vector<Rate>>{&Limits::rates, per_user}},
      {{"window", "Sliding or fixed windows: one, or a list of up to 4, candidates included", &kWindowTable},
       Part<Limits, std::vector<Window>>{&Limits::windows, per_user}},
      {{"concurrent", "How many requests may be in progress at once", &kConcurrentTable},
       Part<Limits, Concurrency>{&Limits::concurrent, per_user}},
      {{"cooldown", "Refuses everything for a while after refusals by a rate or a window of the same scope",
        &kCooldownTable},
       Part<Limits, Cooldown>{&Limits::cooldown, per_user}},
  });
}
static_assert(kMaxRates == 6 && kMaxWindows == 4);
inline constexpr auto kSharedLimits = limits_fields(false);
inline constexpr auto kUserLimits = limits_fields(true);
inline constexpr auto kLimitKeys = keys_of(kSharedLimits);
inline constexpr KeyTable kLimitTable{kLimitKeys};

// These stand in the table of the operation itself.
inline constexpr auto kQueueFields = std::to_array<Field<Queue>>({
    {{"queue",
      "How many requests may wait at once until they can pass; 0: none. Operations without a queue of their "
      "own use that of [global]"},
     Whole{&Queue::seats, 0, kMaxSeats}},
    {{"timeout", "The longest that a request may wait"}, Length<Queue>{&Queue::timeout, kMaxTimeout}},
    {{"order", "Which of the requests of one priority goes first: the one that came first, or last"},
     Plain{&Queue::order}},
    {{"shares",
      "Of 16 admissions while requests wait, how many are guaranteed to waiters of priority 1, 2, 3 and 4"},
     Shares<Queue>{&Queue::shares, kTurns}},
    {{"push_out",
      "Whether a request that finds the queue full takes the seat of the last one of a lower priority"},
     Plain{&Queue::push_out}},
});
inline constexpr auto kQueueKeys = keys_of(kQueueFields);

inline constexpr auto kBreakerField = std::to_array<Field<OperationPolicy>>(
    {{{"breaker", "Stops work that fails, and probes whether it works again", &kBreakerTable},
      Part<OperationPolicy, std::optional<weir::Breaker>>{&OperationPolicy::breaker}}});
inline constexpr auto kUserField = std::to_array<Field<OperationPolicy>>(
    {{{"user", "The limits of each user alone: rate, window, concurrent, cooldown", &kLimitTable},
      Part<OperationPolicy, Limits>{&OperationPolicy::user, true}}});
inline constexpr auto kExemptField = std::to_array<Field<UserOverride>>(
    {{{"exempt", "No limits per user at all; the limits over all users still hold"},
      Plain{&UserOverride::exempt}}});

inline constexpr auto kGlobalKeys = all_of(kLimitKeys, kQueueKeys, keys_of(kUserField));
inline constexpr KeyTable kGlobalTable{kGlobalKeys};
inline constexpr auto kOperationKeys =
    all_of(kLimitKeys, kQueueKeys, keys_of(kBreakerField), keys_of(kUserField));
inline constexpr KeyTable kOperationTable{kOperationKeys};
inline constexpr auto kOverrideKeys = all_of(keys_of(kExemptField), kLimitKeys);
inline constexpr KeyTable kOverrideTable{kOverrideKeys};

// The file ---------------------------------------------------------------------------------------------------

inline constexpr KeyTable kOperationsTable{{}, &kOperationTable};
inline constexpr KeyTable kUsersTable{{}, &kOverrideTable};
inline constexpr auto kOverridesKeys = std::to_array<Key>(
    {{"users", "Users by their key, with what holds instead of every limit per user", &kUsersTable}});
inline constexpr KeyTable kOverridesTable{kOverridesKeys};
inline constexpr auto kRootKeys = std::to_array<Key>({
    {"segment", "Where the shared memory lives and how large it is", &kSegmentTable},
    {"global", "The limits over all operations together", &kGlobalTable},
    {"defaults", "What each operation takes for the keys that it leaves out", &kOperationTable},
    {"operations", "The limits of each kind of work, by its name", &kOperationsTable},
    {"overrides", "Users with limits of their own", &kOverridesTable},
});
inline constexpr KeyTable kRootTable{kRootKeys};

}  // namespace weir::detail

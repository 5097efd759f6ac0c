#pragma once

// The keys of the format, each with the member it sets: reading, writing, the environment's names and the
// hints of errors all go by these lists.

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/policy.hpp"

namespace weir::detail {

using Names = std::span<const std::string_view>;

inline constexpr auto kTableFullNames = std::to_array<std::string_view>({"evict", "refuse", "admit"});
inline constexpr auto kOnFaultNames = std::to_array<std::string_view>({"refuse", "admit", "local"});
inline constexpr auto kOnDifferenceNames = std::to_array<std::string_view>({"keep", "apply", "refuse"});
inline constexpr auto kWindowKindNames =
    std::to_array<std::string_view>({"automatic", "log", "ring", "fixed", "weighted"});

/// The words for an enumeration, in the order of its values.
constexpr Names names_of(TableFull /*type*/) {
  return kTableFullNames;
}
constexpr Names names_of(OnFault /*type*/) {
  return kOnFaultNames;
}
constexpr Names names_of(OnDifference /*type*/) {
  return kOnDifferenceNames;
}
constexpr Names names_of(WindowKind /*type*/) {
  return kWindowKindNames;
}

/// Permission bits.
template <class T>
struct Octal {
  std::uint32_t T::*member;
};

template <class T>
using Setting = std::variant<std::string T::*, std::uint64_t T::*, std::uint32_t T::*, double T::*, bool T::*,
                             std::chrono::nanoseconds T::*, TableFull T::*, OnFault T::*, OnDifference T::*,
                             WindowKind T::*, Octal<T>>;

template <class T>
struct Field {
  std::string_view key;
  Setting<T> setting;
  std::uint64_t least = 0;  ///< of a whole number
  std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
};

inline constexpr auto kSegmentFields = std::to_array<Field<SegmentPolicy>>({
    {"name", &SegmentPolicy::name},
    {"users", &SegmentPolicy::users, 1, 1'000'000'000},
    {"limits_per_user", &SegmentPolicy::limits_per_user, 0, 255},
    {"workers", &SegmentPolicy::workers, 1},
    {"when_full", &SegmentPolicy::when_full},
    {"mode", Octal<SegmentPolicy>{&SegmentPolicy::mode}},
    {"group", &SegmentPolicy::group},
    {"reserve", &SegmentPolicy::reserve},
    {"huge_pages", &SegmentPolicy::huge_pages},
    {"key_names", &SegmentPolicy::key_names},
    {"on_fault", &SegmentPolicy::on_fault},
    {"on_difference", &SegmentPolicy::on_difference},
    {"local_workers", &SegmentPolicy::local_workers, 1},
});

// 0 permits would refuse everything; what is left out, or false, is unlimited.
inline constexpr auto kConcurrentFields = std::to_array<Field<Concurrency>>({
    {"limit", &Concurrency::limit, 1, 65'535},
    {"shadow", &Concurrency::shadow},
    {"candidate", &Concurrency::candidate, 1, 65'535},
});

inline constexpr auto kCooldownFields = std::to_array<Field<Cooldown>>({
    {"for", &Cooldown::length},
    {"refusals", &Cooldown::refusals, 1, 255},
    {"shadow", &Cooldown::shadow},
});

inline constexpr auto kBreakerFields = std::to_array<Field<Breaker>>({
    {"failures", &Breaker::failures},
    {"failure_rate", &Breaker::failure_rate},
    {"slow_rate", &Breaker::slow_rate},
    {"slow_call", &Breaker::slow_call},
    {"minimum_calls", &Breaker::minimum_calls, 1, 65'535},
    {"window", &Breaker::window},
    {"window_calls", &Breaker::window_calls},
    {"recovery", &Breaker::recovery},
    {"recovery_factor", &Breaker::recovery_factor},
    {"max_recovery", &Breaker::max_recovery},
    {"jitter", &Breaker::jitter},
    {"probes", &Breaker::probes},
    {"successes", &Breaker::successes},
    {"probe_timeout", &Breaker::probe_timeout},
    {"shadow", &Breaker::shadow},
});

// Tables that are more than a list of members.
inline constexpr auto kRootKeys =
    std::to_array<std::string_view>({"segment", "global", "defaults", "operations", "overrides"});
inline constexpr auto kRateKeys = std::to_array<std::string_view>({"limit", "shadow", "candidate"});
inline constexpr auto kWindowKeys = std::to_array<std::string_view>({"limit", "kind", "shadow", "candidate"});
inline constexpr auto kUserKeys =
    std::to_array<std::string_view>({"rate", "window", "concurrent", "cooldown"});
inline constexpr auto kGlobalKeys =
    std::to_array<std::string_view>({"rate", "window", "concurrent", "cooldown", "user"});
inline constexpr auto kOperationKeys =
    std::to_array<std::string_view>({"rate", "window", "concurrent", "cooldown", "breaker", "user"});
inline constexpr auto kOverridesKeys = std::to_array<std::string_view>({"users"});
inline constexpr auto kOverrideKeys =
    std::to_array<std::string_view>({"exempt", "rate", "window", "concurrent", "cooldown"});
/// Keys that the format reserves. Ignoring one would promise a limit that nobody enforces.
inline constexpr auto kLaterKeys = std::to_array<std::string_view>({"queue", "timeout"});

template <class Fields>
std::vector<std::string_view> keys_of(const Fields& fields) {
  std::vector<std::string_view> keys;
  keys.reserve(std::size(fields));
  for (const auto& field : fields) keys.push_back(field.key);
  return keys;
}

}  // namespace weir::detail

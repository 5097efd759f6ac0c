#pragma once

// What the sections of a weir segment contain, and how large they are.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "weir/clock.hpp"

#include "policy/records.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"
#include "workers/slot.hpp"

namespace weir::detail {

enum SectionKind : std::uint32_t {
  kSettingsSection = 1,       ///< one SettingsRecord, frozen
  kOperationsSection = 2,     ///< OperationRecord, frozen
  kLimitsSection = 3,         ///< LimitRecord, frozen
  kSharedStatesSection = 4,   ///< SharedState
  kUserCountersSection = 5,   ///< one UserTableCounters
  kUsersSection = 6,          ///< UserBucket
  kWorkersSection = 7,        ///< WorkerSlot
  kPermitCellsSection = 8,    ///< Word: the cells of all shared concurrency limits
  kSweepCountersSection = 9,  ///< one SweepCounters
};

/// The word of a limit that all callers share, on a line of its own.
struct alignas(kCacheLine) SharedState {
  TokenBucket bucket;
};

/// What sweeps do, on a line of their own.
struct alignas(kCacheLine) SweepCounters {
  Word last_sweep;     ///< ticks
  Word workers;        ///< dead workers swept
  Word permits;        ///< permits taken back from them
  Word late_releases;  ///< permits given back too late
};

/// Changes whenever a shared structure does: builds that disagree refuse each other.
inline constexpr std::uint64_t kAbiFingerprint = [] {
  constexpr std::array<std::uint64_t, 15> facts{sizeof(Header),
                                                sizeof(Section),
                                                sizeof(SettingsRecord),
                                                sizeof(OperationRecord),
                                                sizeof(LimitRecord),
                                                sizeof(SharedState),
                                                sizeof(UserTableCounters),
                                                sizeof(UserBucket),
                                                offsetof(LimitRecord, count),
                                                kTickShift,
                                                offsetof(Header, sections),
                                                offsetof(SettingsRecord, group),
                                                sizeof(WorkerSlot),
                                                sizeof(SweepCounters),
                                                owner_set::kPlaces};
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: any mixing does, nobody attacks it
  for (const std::uint64_t fact : facts) hash = (hash ^ fact) * 0x100000001b3;
  return hash;
}();

/// The sections that a policy needs.
[[nodiscard]] std::vector<SectionSpec> sections_for(const Records& records);

/// Writes the frozen sections; the others begin as zeros.
void fill_section(const Records& records, std::uint32_t kind, std::span<std::byte> bytes);

/// Entries of the user table: for every user as many as limits can apply to one request, at a load of 3/4.
[[nodiscard]] std::uint64_t user_entries(const Records& records) noexcept;

/// Ticks since the segment's epoch.
[[nodiscard]] inline std::uint64_t ticks_at(const Header& header, HostClock::time_point now) noexcept {
  const std::int64_t since_epoch = now.time_since_epoch().count() - header.created_monotonic_ns;
  return ticks_from_ns(static_cast<std::uint64_t>(since_epoch < 0 ? 0 : since_epoch));
}

/// A section as elements of its type.
template <class T>
[[nodiscard]] std::span<T> elements(const Segment& segment, SectionKind kind) noexcept {
  const std::span<std::byte> bytes = segment.section(kind, sizeof(T));
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace weir::detail

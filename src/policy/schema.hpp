// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the sections of a weir segment contain, and how large they are.

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "weir/clock.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/breakers.hpp"
#include "policy/history.hpp"
#include "policy/journal.hpp"
#include "primitives/lane.hpp"
#include "primitives/metric_cell.hpp"
#include "primitives/seat.hpp"
#include "segment/mapping.hpp"
#include "users/names.hpp"
#include "users/table.hpp"
#include "workers/slot.hpp"

namespace weir::detail {

/// The settings of the segment as a whole, which are fixed at its creation.
struct SettingsRecord {
  std::uint64_t users = 0;
  std::uint32_t mode = 0;
  std::uint32_t workers = 0;
  std::uint32_t key_names = 0;
  std::uint32_t local_workers = 0;
  std::uint8_t when_full = 0;
  std::uint8_t reserve = 0;
  std::uint8_t huge_pages = 0;
  std::uint8_t on_fault = 0;  // on_difference belongs to the opening process, not to the segment
  std::uint32_t limits_per_user = 0;
  std::uint32_t metrics = 0;
  std::array<char, 68> group{};  ///< zero-terminated
};

/// What sweeps have done, on a cache line of its own.
struct alignas(kCacheLine) SweepCounters {
  Word last_sweep;     ///< ticks
  Word workers;        ///< dead workers swept
  Word permits;        ///< permits taken back from them
  Word late_releases;  ///< permits that were given back after a sweep had taken them
  Word next_slot;      ///< the worker slot with which the next sweep begins
};

/// Changes whenever a shared structure or the table of sections does, so builds that disagree refuse each other's
/// segments.
extern const std::uint64_t kAbiFingerprint;

/// All sections of a mapped segment. They are in bounds by construction, but other processes may have written
/// anything into their words. A pointer is a section of one element. A new section is a member here and a row of the
/// table in schema.cpp: its size, the fingerprint, creation and access follow from that row.
///
/// @tparam kWritable  false for a process that only looks: its words are const, as its mapping is read-only.
template <bool kWritable>
struct BasicSections {
  template <class T>
  using Shared = std::conditional_t<kWritable, T, const T>;

  SettingsRecord settings;  ///< a private copy
  Shared<Control>* control = nullptr;
  std::span<Shared<Block>> blocks;
  std::span<Shared<IndexSlot>> operation_index;
  std::span<Shared<IndexSlot>> override_index;
  Shared<UserTableCounters>* user_counters = nullptr;
  std::span<Shared<UserBucket>> users;
  std::span<Shared<WorkerSlot>> workers;
  std::span<Shared<Word>> permit_cells;
  std::span<Shared<Word>> window_cells;
  std::span<Shared<Seat>> seats;
  Shared<Gate>* gate = nullptr;
  std::span<Shared<BreakerRecord>> breakers;
  std::span<Shared<NameSlot>> names;
  std::span<Shared<ChangeRecord>> history;
  Shared<ChangeRecord>* difference = nullptr;
  Shared<SweepCounters>* swept = nullptr;
  Shared<JournalSection>* journal = nullptr;
  std::span<Shared<Lane>> lanes;               ///< see lane_count(); none if nothing is counted
  std::span<Shared<MetricCell>> metric_cells;  ///< the columns of lane 0, then those of lane 1, ...; sparse
  std::uint64_t created_wall_ns = 0;           ///< what the wall clock said at tick 0
  std::int64_t created_monotonic_ns = 0;       ///< what HostClock said at tick 0
  std::uint64_t seed = 0;  ///< for random numbers that should differ from segment to segment

  /// A number that tells this segment from earlier ones of the same name.
  [[nodiscard]] std::uint32_t mark() const noexcept { return static_cast<std::uint32_t>(created_wall_ns); }

  /// The breaker of an operation's block.
  [[nodiscard]] Shared<BreakerRecord>& breaker(std::uint32_t block) const noexcept {
    return breakers[(block - kFirstOperation) % kMaxOperations];
  }

  /// How many operations each lane has room for: those of the first blocks.
  [[nodiscard]] std::uint32_t metric_columns() const noexcept {
    if (lanes.empty()) return 0;
    return static_cast<std::uint32_t>(
        std::min<std::size_t>(metric_cells.size() / lanes.size(), kMaxOperations));
  }
  /// What a lane counts of an operation. `column` is below metric_columns(). The cell has memory if the lane says so.
  [[nodiscard]] Shared<MetricCell>& metric_cell(std::uint32_t lane, std::uint32_t column) const noexcept {
    return metric_cells[std::size_t{lane} * metric_columns() + column];
  }

  /// Errors  Errc::damaged, naming a section that is missing or has an impossible size.
  [[nodiscard]] static Result<BasicSections> of(const Segment& segment);

  /// These two do what UserTable::for_each() and modify_all() do, but skip pages of the table that were never
  /// written. `segment` is the one that these sections belong to.
  template <class Visit>
  void for_each_user_entry(const Segment& segment, Visit&& visit) const {
    for_each_part_of_users(segment,
                           [&](std::span<const UserBucket> part) { UserTable::for_each(part, visit); });
  }
  template <class Step>
  std::uint64_t modify_user_entries(const Segment& segment, Step&& step) const {
    std::uint64_t changed = 0;
    for_each_part_of_users(segment,
                           [&](std::span<UserBucket> part) { changed += UserTable::modify_all(part, step); });
    return changed;
  }

  /// How many blocks of operations are in use; they follow the global block.
  [[nodiscard]] std::uint32_t operations() const noexcept {
    // sync(blocks): acquire; pairs with publish_block(), so a process that sees a block also sees its limits.
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(control->operations.load(std::memory_order_acquire), kMaxOperations));
  }
  /// How many blocks of users with limits of their own are in use.
  [[nodiscard]] std::uint32_t overrides() const noexcept {
    return static_cast<std::uint32_t>(  // sync(blocks): as above
        std::min<std::uint64_t>(control->overrides.load(std::memory_order_acquire), kMaxOverrides));
  }

 private:
  template <class Visit>
  void for_each_part_of_users(const Segment& segment, Visit&& visit) const {
    const auto bytes = [](auto buckets) {
      if constexpr (kWritable) {
        return std::as_writable_bytes(buckets);
      } else {
        return std::as_bytes(buckets);
      }
    };
    segment.for_each_taken(bytes(users), [&](auto part) {
      visit(std::span(reinterpret_cast<Shared<UserBucket>*>(part.data()), part.size() / sizeof(UserBucket)));
    });
  }
};
using Sections = BasicSections<true>;
using SectionsView = BasicSections<false>;

/// The entries of the user table that one user may take: one for each limit that can apply to one request.
[[nodiscard]] std::uint64_t entries_per_user(const Config& config);
/// The entries per user that the table has room for: as many as the configuration asks for, or else as its limits
/// need, and at least one. If the table then takes no more than kRoomyTableBytes, there is room for
/// kRoomyLimitsPerUser, so that more limits can be set live.
[[nodiscard]] std::uint64_t entries_made_for(const Config& config);
inline constexpr std::uint64_t kRoomyLimitsPerUser = 4;
inline constexpr std::uint64_t kRoomyTableBytes = std::uint64_t{64} << 20;
/// The entries for all users that the segment is made for, at a load of 3/4.
[[nodiscard]] std::uint64_t user_entries(const Config& config);

/// The sections that a configuration needs.
[[nodiscard]] std::vector<SectionSpec> sections_for(const Config& config);

[[nodiscard]] SettingsRecord settings_of(const Config& config);
/// Writes the settings into a segment that no other process sees yet. BasicSections::of() expects them there.
void store_settings(const Segment& segment, const SettingsRecord& settings) noexcept;
[[nodiscard]] SegmentPolicy segment_policy(const SettingsRecord& settings, std::string_view name);

/// Ticks since the segment's epoch.
[[nodiscard]] inline std::uint64_t ticks_at(std::int64_t epoch_ns, HostClock::time_point now) noexcept {
  const std::int64_t since_epoch = now.time_since_epoch().count() - epoch_ns;
  return ticks_from_ns(static_cast<std::uint64_t>(since_epoch < 0 ? 0 : since_epoch));
}
[[nodiscard]] inline std::uint64_t ticks_at(const Header& header, HostClock::time_point now) noexcept {
  return ticks_at(header.created_monotonic_ns, now);
}
[[nodiscard]] inline std::uint64_t ticks_at(const Sections& sections, HostClock::time_point now) noexcept {
  return ticks_at(sections.created_monotonic_ns, now);
}

}  // namespace weir::detail

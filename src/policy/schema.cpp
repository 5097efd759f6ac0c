// SPDX-License-Identifier: Apache-2.0
#include "policy/schema.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <tuple>
#include <type_traits>

#include "policy/cells_needed.hpp"
#include "policy/compile.hpp"

namespace weir::detail {
namespace {

bool sound(const SettingsRecord& settings) {
  return settings.workers >= 1 && settings.workers <= kMaxWorkers &&
         settings.when_full <= static_cast<std::uint8_t>(TableFull::admit) &&
         settings.on_fault <= static_cast<std::uint8_t>(OnFault::local) &&
         settings.metrics <= static_cast<std::uint32_t>(Metrics::off) &&
         std::find(settings.group.begin(), settings.group.end(), '\0') != settings.group.end();
}

/// The cells that all limits over all users need, by `cells_for` of each record: twice what is asked for now, and at
/// least `spare` for a few more limits, since operations may be added live.
template <class CellsFor>
std::uint64_t cells_with_room(const Config& config, CellsFor&& cells_for, std::uint64_t spare = 8192) {
  std::uint64_t cells = 0;
  const auto count = [&](const BlockValue& block) {
    for (std::uint32_t index = 0; index < kBlockLimits; ++index) cells += cells_for(index, block[index]);
  };
  count(compile(config.global));
  for (const auto& entry : config.operations) count(compile(entry.second));
  return cells + std::max(cells, spare);
}

/// The number of entries that one user takes under one block.
std::uint64_t entries_of(const BlockValue& block) {
  std::uint64_t entries = 0;
  for (const std::uint32_t index : LimitIndices(masks::kUser)) {
    if (block[index].params == 0) continue;
    entries += kind_of(index) == LimitKind::permits ? owner_set::parts_for(block[index].params) : 1;
  }
  return entries;
}

}  // namespace

std::uint64_t entries_per_user(const Config& config) {
  std::uint64_t most = 0;
  for (const auto& entry : config.operations) most = std::max(most, entries_of(compile(entry.second)));
  most += entries_of(compile(config.global));
  for (const auto& entry : config.users) most = std::max(most, entries_of(compile(entry.second)));
  return most;
}

namespace {

std::uint64_t entries_for(std::uint64_t users, std::uint64_t each) {
  return users * each * 4 / 3 + 1;
}

}  // namespace

std::uint64_t entries_made_for(const Config& config) {
  const std::uint64_t needed = std::max(entries_per_user(config), std::uint64_t{1});
  if (config.segment.limits_per_user != 0)
    return std::max<std::uint64_t>(needed, config.segment.limits_per_user);
  const std::uint64_t roomy = std::max(needed, kRoomyLimitsPerUser);
  const std::uint64_t bytes = entries_for(config.segment.users, roomy) * sizeof(PairWord);
  return bytes <= kRoomyTableBytes ? roomy : needed;
}

std::uint64_t user_entries(const Config& config) {
  return entries_for(config.segment.users, entries_made_for(config));
}

namespace {

/// One for each worker, and the shared one before them.
std::uint64_t lane_count(const SettingsRecord& settings) {
  return static_cast<Metrics>(settings.metrics) == Metrics::off ? 0 : std::uint64_t{settings.workers} + 1;
}

/// Room for twice the operations, since some may be added live.
std::uint64_t metric_cells_for(const Config& config) {
  constexpr std::uint64_t kLeast = 32;
  const std::uint64_t columns =
      std::clamp<std::uint64_t>(2 * config.operations.size(), kLeast, kMaxOperations);
  return lane_count(settings_of(config)) * columns;
}

/// How many elements a section has.
struct Count {
  /// The number, if it is the same in every segment.
  std::uint64_t always = 0;
  /// Set if the number follows from the settings, which every process can read.
  std::uint64_t (*by_settings)(const SettingsRecord&) = nullptr;
  /// Set if the number follows from the limits that the segment is made for. Only the creator knows it, so other
  /// processes check that it is by_settings(), or `least`, or more.
  std::uint64_t (*by_limits)(const Config&) = nullptr;
  std::uint64_t least = 1;

  [[nodiscard]] std::uint64_t wanted(const Config& config) const {
    return by_limits != nullptr ? by_limits(config) : exactly(settings_of(config));
  }
  [[nodiscard]] bool allows(std::uint64_t count, const SettingsRecord& settings) const {
    return by_limits != nullptr ? count >= least_for(settings) : count == exactly(settings);
  }

 private:
  [[nodiscard]] std::uint64_t least_for(const SettingsRecord& settings) const {
    return by_settings != nullptr ? by_settings(settings) : least;
  }
  [[nodiscard]] std::uint64_t exactly(const SettingsRecord& settings) const {
    return by_settings != nullptr ? by_settings(settings) : always;
  }
};

enum class Kept : std::uint8_t {
  shared,  ///< workers write it
  frozen,  ///< it never changes after publication, and a checksum covers it
  sparse,  ///< workers write it, and take memory for what they use: Segment::take_memory()
};

/// A section: its number in the directory, its name for messages, the member of BasicSections that gives access to
/// it, and its size.
template <class Member>
struct Row {
  std::uint32_t kind;
  std::string_view name;
  Member member;
  Count count;
  Kept kept;
};
template <class Member>
constexpr Row<Member> row(std::uint32_t kind, std::string_view name, Member member, Count count,
                          Kept kept = Kept::shared) {
  return {kind, name, member, count, kept};
}

// The table of sections. The settings come first, since sizes of other sections follow from them.
template <bool kWritable>
constexpr auto table() {
  using All = BasicSections<kWritable>;
  constexpr Count kOne{.always = 1};
  constexpr Count kIndex{.always = kIndexSlots};
  return std::tuple{
      row(1, "settings", &All::settings, kOne, Kept::frozen),
      row(2, "control", &All::control, kOne),
      row(3, "blocks", &All::blocks, {.always = kMaxBlocks}),
      row(4, "operation index", &All::operation_index, kIndex),
      row(11, "override index", &All::override_index, kIndex),
      row(5, "user counters", &All::user_counters, kOne),
      row(6, "users", &All::users,
          {.by_limits = [](const Config& config) { return UserTable::buckets_for(user_entries(config)); },
           .least = 2}),
      row(7, "workers", &All::workers,
          {.by_settings = [](const SettingsRecord& settings) { return std::uint64_t{settings.workers}; }}),
      row(8, "permit cells", &All::permit_cells,
          {.by_limits = [](const Config& config) { return cells_with_room(config, permit_cells_for); }}),
      row(10, "window cells", &All::window_cells,
          {.by_limits = [](const Config& config) { return cells_with_room(config, window_cells_for); }}),
      row(16, "seats", &All::seats,
          {.by_limits = [](const Config& config) { return cells_with_room(config, seats_for, 1024); }}),
      row(17, "gate", &All::gate, kOne),
      row(12, "breakers", &All::breakers, {.always = kMaxOperations}),
      row(13, "names", &All::names,
          {.by_settings =
               [](const SettingsRecord& settings) { return NameTable::slots_for(settings.key_names); }}),
      row(14, "history", &All::history, {.always = kHistoryRecords}),
      row(15, "difference", &All::difference, kOne),
      row(9, "sweep counters", &All::swept, kOne),
      row(18, "journal", &All::journal, kOne),
      row(19, "lanes", &All::lanes, {.by_settings = lane_count}),
      // Sparse sections come last.
      row(20, "metric cells", &All::metric_cells, {.by_settings = lane_count, .by_limits = metric_cells_for},
          Kept::sparse),
  };
}

template <bool kWritable, class Visit>
constexpr void for_each_section(Visit&& visit) {
  std::apply([&](const auto&... rows) { (visit(rows), ...); }, table<kWritable>());
}

// The type of a section's elements, from the type of its member: a copy, a pointer to one, or a span of many.
template <class Member>
struct ElementOf;
template <class All, class T>
struct ElementOf<T All::*> : std::type_identity<T> {};
template <class All, class T>
struct ElementOf<T * All::*> : std::type_identity<T> {};
template <class All, class T>
struct ElementOf<std::span<T> All::*> : std::type_identity<T> {};

template <class Member>
constexpr std::uint64_t stride_of(const Row<Member>&) {
  return sizeof(typename ElementOf<Member>::type);
}

void bind(SettingsRecord& copy, std::span<std::byte> bytes) noexcept {
  if (bytes.size() == sizeof copy) std::memcpy(&copy, bytes.data(), sizeof copy);
}
template <class T>
void bind(T*& one, std::span<std::byte> bytes) noexcept {
  one = reinterpret_cast<T*>(bytes.data());
}
template <class T>
void bind(std::span<T>& all, std::span<std::byte> bytes) noexcept {
  all = {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

constexpr std::uint64_t fingerprint() {
  // FNV-1a suffices, since the facts come from this file and not from an attacker. The first number is that of FNV.
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::uint64_t fact) { hash = (hash ^ fact) * 0x100000001b3; };
  for_each_section<true>([&](const auto& section) {
    for (const std::uint64_t fact : {std::uint64_t{section.kind}, stride_of(section), section.count.always,
                                     static_cast<std::uint64_t>(section.kept)})
      add(fact);
  });
  // Facts that do not show in the size of any section.
  for (const std::uint64_t fact :
       {std::uint64_t{sizeof(Header)}, std::uint64_t{sizeof(Section)}, std::uint64_t{sizeof(LimitRecord)},
        std::uint64_t{offsetof(Block, limits)}, std::uint64_t{offsetof(Header, sections)},
        std::uint64_t{offsetof(SettingsRecord, group)}, std::uint64_t{kTickShift},
        std::uint64_t{kScopeLimits}, std::uint64_t{owner_set::kPermitsPerSet}})
    add(fact);
  return hash;
}

}  // namespace

constexpr std::uint64_t kAbiFingerprint = fingerprint();

template <bool kWritable>
Result<BasicSections<kWritable>> BasicSections<kWritable>::of(const Segment& segment) {
  const auto damaged = [&](std::string_view fact) {
    return fail(Errc::damaged, fmt::format("segment \"{}\": damaged: {}", segment.name(), fact),
                fmt::format("remove it with: shm-inspect --segment {} remove", segment.name()));
  };
  BasicSections all;
  std::string_view wrong;
  for_each_section<kWritable>([&](const auto& section) {
    const std::uint64_t stride = stride_of(section);
    const std::span<std::byte> bytes = segment.section(section.kind, stride);
    bind(all.*section.member, bytes);
    if (wrong.empty() && !section.count.allows(bytes.size() / stride, all.settings)) wrong = section.name;
  });
  if (!wrong.empty())
    return damaged(fmt::format("its section \"{}\" is missing or has an impossible size", wrong));
  if (!sound(all.settings)) return damaged("impossible settings");
  all.created_wall_ns = static_cast<std::uint64_t>(segment.header().created_wall_ns);
  all.created_monotonic_ns = segment.header().created_monotonic_ns;
  all.seed = segment.header().secret[0];
  return all;
}
template Result<Sections> BasicSections<true>::of(const Segment& segment);
template Result<SectionsView> BasicSections<false>::of(const Segment& segment);

std::vector<SectionSpec> sections_for(const Config& config) {
  std::vector<SectionSpec> specs;
  for_each_section<true>([&](const auto& section) {
    specs.push_back({section.kind, stride_of(section), section.count.wanted(config),
                     section.kept == Kept::frozen, section.kept == Kept::sparse});
  });
  return specs;
}

void store_settings(const Segment& segment, const SettingsRecord& settings) noexcept {
  static_assert(std::has_unique_object_representations_v<SettingsRecord>,
                "padding would make checksums differ");
  const auto section = std::get<0>(table<true>());
  std::memcpy(segment.section(section.kind, stride_of(section)).data(), &settings, sizeof settings);
}

SettingsRecord settings_of(const Config& config) {
  const SegmentPolicy& segment = config.segment;
  SettingsRecord record;
  record.users = segment.users;
  record.mode = segment.mode;
  record.workers = segment.workers;
  record.key_names = segment.key_names;
  record.local_workers = segment.local_workers;
  record.limits_per_user = segment.limits_per_user;
  record.metrics = static_cast<std::uint32_t>(segment.metrics);
  record.when_full = static_cast<std::uint8_t>(segment.when_full);
  record.reserve = segment.reserve ? 1 : 0;
  record.huge_pages = segment.huge_pages ? 1 : 0;
  record.on_fault = static_cast<std::uint8_t>(segment.on_fault);
  std::copy_n(segment.group.data(), std::min(segment.group.size(), record.group.size() - 1),
              record.group.begin());
  return record;
}

SegmentPolicy segment_policy(const SettingsRecord& settings, std::string_view name) {
  SegmentPolicy segment;
  segment.name = name;
  segment.users = settings.users;
  segment.when_full = static_cast<TableFull>(settings.when_full);
  segment.mode = settings.mode;
  segment.group = settings.group.data();
  segment.reserve = settings.reserve != 0;
  segment.huge_pages = settings.huge_pages != 0;
  segment.workers = settings.workers;
  segment.key_names = settings.key_names;
  segment.on_fault = static_cast<OnFault>(settings.on_fault);
  segment.local_workers = settings.local_workers;
  segment.limits_per_user = settings.limits_per_user;
  segment.metrics = static_cast<Metrics>(settings.metrics);
  return segment;
}

}  // namespace weir::detail

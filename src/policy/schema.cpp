#include "policy/schema.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "policy/compile.hpp"

namespace weir::detail {
namespace {

template <class T>
std::span<T> elements(const Segment& segment, SectionKind kind) noexcept {
  const std::span<std::byte> bytes = segment.section(kind, sizeof(T));
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <class T>
T* single(const Segment& segment, SectionKind kind) noexcept {
  const std::span<T> all = elements<T>(segment, kind);
  return all.size() == 1 ? all.data() : nullptr;
}

bool sound(const SettingsRecord& settings) {
  return settings.workers >= 1 && settings.workers <= kMaxWorkers &&
         settings.when_full <= static_cast<std::uint8_t>(TableFull::admit) &&
         settings.on_fault <= static_cast<std::uint8_t>(OnFault::local) &&
         std::find(settings.group.begin(), settings.group.end(), '\0') != settings.group.end();
}

/// Calls visit(record, value) for every record of every block of a configuration.
template <class Visit>
void for_each_limit(const Config& config, Visit&& visit) {
  const auto all = [&](const BlockValue& block) {
    for (std::uint32_t index = 0; index < kBlockLimits; ++index) visit(index, block[index]);
  };
  all(compile(config.global));
  for (const auto& entry : config.operations) all(compile(entry.second));
}

/// Entries that one user takes under one block.
std::uint64_t entries_of(const BlockValue& block) {
  std::uint64_t entries = 0;
  for (const std::uint32_t index : LimitIndices(masks::kUser)) {
    if (block[index].params == 0) continue;
    entries += kind_of(index) == LimitKind::permits ? owner_set::parts_for(block[index].params) : 1;
  }
  return entries;
}

// Twice what is asked for now, and enough for a few more limits: operations may be added live.
std::uint64_t with_room(std::uint64_t cells) {
  constexpr std::uint64_t kRoom = 8192;
  return cells + std::max(cells, kRoom);
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

Result<Sections> Sections::of(const Segment& segment) {
  const auto damaged = [&](std::string_view fact) {
    return fail(Errc::damaged, fmt::format("segment \"{}\": damaged: {}", segment.name(), fact),
                fmt::format("remove it with: shm-inspect --segment {} remove", segment.name()));
  };
  Sections all;
  const auto* settings = single<SettingsRecord>(segment, kSettingsSection);
  if (settings == nullptr) return damaged("it has no settings");
  all.settings = *settings;
  if (!sound(all.settings)) return damaged("impossible settings");
  all.control = single<Control>(segment, kControlSection);
  all.blocks = elements<Block>(segment, kBlocksSection);
  all.operation_index = elements<IndexSlot>(segment, kOperationIndexSection);
  all.override_index = elements<IndexSlot>(segment, kOverrideIndexSection);
  all.user_counters = single<UserTableCounters>(segment, kUserCountersSection);
  all.users = elements<UserBucket>(segment, kUsersSection);
  all.workers = elements<WorkerSlot>(segment, kWorkersSection);
  all.permit_cells = elements<Word>(segment, kPermitCellsSection);
  all.window_cells = elements<Word>(segment, kWindowCellsSection);
  all.breakers = elements<BreakerRecord>(segment, kBreakersSection);
  all.names = elements<NameSlot>(segment, kNamesSection);
  all.history = elements<ChangeRecord>(segment, kHistorySection);
  all.created_wall_ns = static_cast<std::uint64_t>(segment.header().created_wall_ns);
  all.seed = segment.header().secret[0];
  all.swept = single<SweepCounters>(segment, kSweepCountersSection);
  all.difference = single<ChangeRecord>(segment, kDifferenceSection);
  const bool complete = all.difference != nullptr && all.control != nullptr && all.user_counters != nullptr &&
                        all.swept != nullptr && all.blocks.size() == kMaxBlocks &&
                        all.operation_index.size() == kIndexSlots &&
                        all.override_index.size() == kIndexSlots && all.breakers.size() == kMaxOperations &&
                        all.history.size() == kHistoryRecords &&
                        all.names.size() == NameTable::slots_for(all.settings.key_names) &&
                        all.users.size() >= 2 && all.workers.size() == all.settings.workers;
  if (!complete) return damaged("a section is missing or has an impossible size");
  return all;
}

std::vector<SectionSpec> sections_for(const Config& config) {
  std::uint64_t permit_cells = 0;
  std::uint64_t window_cells = 0;
  for_each_limit(config, [&](std::uint32_t index, const LimitValue& value) {
    permit_cells += permit_cells_for(index, value);
    window_cells += window_cells_for(index, value);
  });
  return {
      {kSettingsSection, sizeof(SettingsRecord), 1, true},
      {kControlSection, sizeof(Control), 1, false},
      {kBlocksSection, sizeof(Block), kMaxBlocks, false},
      {kOperationIndexSection, sizeof(IndexSlot), kIndexSlots, false},
      {kOverrideIndexSection, sizeof(IndexSlot), kIndexSlots, false},
      {kUserCountersSection, sizeof(UserTableCounters), 1, false},
      {kUsersSection, sizeof(UserBucket), UserTable::buckets_for(user_entries(config)), false},
      {kWorkersSection, sizeof(WorkerSlot), config.segment.workers, false},
      {kPermitCellsSection, sizeof(Word), with_room(permit_cells), false},
      {kWindowCellsSection, sizeof(Word), with_room(window_cells), false},
      {kBreakersSection, sizeof(BreakerRecord), kMaxOperations, false},
      {kNamesSection, sizeof(NameSlot), NameTable::slots_for(config.segment.key_names), false},
      {kHistorySection, sizeof(ChangeRecord), kHistoryRecords, false},
      {kDifferenceSection, sizeof(ChangeRecord), 1, false},
      {kSweepCountersSection, sizeof(SweepCounters), 1, false},
  };
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
  return segment;
}

}  // namespace weir::detail

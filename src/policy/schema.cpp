#include "policy/schema.hpp"

#include <algorithm>
#include <cstring>

namespace weir::detail {
namespace {

template <class T>
void copy_records(std::span<const T> records, std::span<std::byte> bytes) {
  static_assert(std::has_unique_object_representations_v<T>, "padding would make checksums differ");
  if (!records.empty())
    std::memcpy(bytes.data(), records.data(), std::min(bytes.size(), records.size_bytes()));
}

// Entries that one user takes under the limits of one operation.
std::uint64_t entries_of(const Records& records, std::uint16_t operation) {
  std::uint64_t entries = 0;
  for (const LimitRecord& limit : records.limits) {
    if (limit.scope == LimitScope::user && limit.operation == operation) entries += limit.parts();
  }
  return entries;
}

}  // namespace

std::uint64_t user_entries(const Records& records) noexcept {
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < records.operations.size(); ++i) {
    most = std::max(most, entries_of(records, static_cast<std::uint16_t>(i)));
  }
  const std::uint64_t per_user = entries_of(records, kGlobal) + most;
  return per_user == 0 ? 0 : records.settings.users * per_user * 4 / 3 + 1;
}

std::vector<SectionSpec> sections_for(const Records& records) {
  return {
      {kSettingsSection, sizeof(SettingsRecord), 1, true},
      {kOperationsSection, sizeof(OperationRecord), records.operations.size(), true},
      {kLimitsSection, sizeof(LimitRecord), records.limits.size(), true},
      {kSharedStatesSection, sizeof(SharedState), records.shared_states(), false},
      {kUserCountersSection, sizeof(UserTableCounters), 1, false},
      {kUsersSection, sizeof(UserBucket), UserTable::buckets_for(user_entries(records)), false},
      {kWorkersSection, sizeof(WorkerSlot), records.settings.workers, false},
      {kPermitCellsSection, sizeof(Word), records.permit_cells(), false},
      {kSweepCountersSection, sizeof(SweepCounters), 1, false},
  };
}

void fill_section(const Records& records, std::uint32_t kind, std::span<std::byte> bytes) {
  if (kind == kSettingsSection) copy_records(std::span(&records.settings, 1), bytes);
  if (kind == kOperationsSection) copy_records(std::span(records.operations), bytes);
  if (kind == kLimitsSection) copy_records(std::span(records.limits), bytes);
}

}  // namespace weir::detail

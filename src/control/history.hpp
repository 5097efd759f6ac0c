// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes and reads the history of changes, whose words policy/history.hpp describes. Only the process that holds the
// lock of changes writes.

#include <cstdint>
#include <span>
#include <vector>

#include "weir/control.hpp"

#include "policy/history.hpp"

namespace weir::detail {

/// With which the key of a reset begins. No key of a configuration does.
inline constexpr std::string_view kReset = "reset";
[[nodiscard]] inline bool is_reset(const ChangeEntry& entry) noexcept {
  const std::string_view key = entry.change.key;
  return key == kReset || (key.starts_with(kReset) && key[kReset.size()] == ' ');
}

/// Appends the changes of a report.
/// @param undoes  see ChangeRecord; 0 for a change that is not a rollback.
void append(std::span<ChangeRecord> history, const ChangeReport& report, std::uint64_t undoes);

/// Notes in what a configuration that a process opened differs from the limits in force. Without differences the note
/// is cleared.
void note(ChangeRecord& difference, const std::vector<ConfigChange>& differs, std::uint64_t generation);

/// A change that was read from the history.
struct RecordedChange {
  std::uint64_t sequence;
  std::uint32_t together;  ///< how many changes were made together
  ChangeEntry entry;
};

/// Reads the history, newest first.
[[nodiscard]] std::vector<RecordedChange> read_history(std::span<const ChangeRecord> history);

}  // namespace weir::detail

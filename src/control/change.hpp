// SPDX-License-Identifier: Apache-2.0
#pragma once

// A live change: the difference between two configurations, written block by block. room.hpp checks before the first
// word that all of it fits, owed.hpp carries over what is owed, and history.hpp records the change.
//
// A change that was killed half-way has left `turn` odd. The next process that holds the lock finishes it: each
// limit is then the old one or the new one, and nothing that was owed is lost.

#include <cstdint>
#include <string_view>
#include <vector>

#include "weir/control.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"
#include "control/room.hpp"
#include "control/running.hpp"
#include "control/switches.hpp"
#include "control/writer_lock.hpp"
#include "policy/stored_config.hpp"

namespace weir::detail {

class Change {
 public:
  /// Takes the lock of changes, and finishes a change that was killed.
  /// Errors  Errc::conflict: another process is changing limits; and those of attaching.
  [[nodiscard]] static Result<Change> begin(std::string_view segment);

  [[nodiscard]] Config current() const { return load_config(running_.sections, running_.segment.name()); }
  [[nodiscard]] const Sections& sections() const { return running_.sections; }

  /// Makes the segment enforce `wanted`. With `dry_run` it only reports what would change.
  /// @param undoes  for a rollback: see ChangeRecord; 0 for any other change.
  [[nodiscard]] Result<ChangeReport> apply(const Config& wanted, bool dry_run, const Switches& switches = {},
                                           std::uint64_t undoes = 0);

  /// @param operation, user  as of reset_limits().
  [[nodiscard]] Result<ResetReport> reset(std::string_view operation, std::string_view user, bool dry_run);

 private:
  Change(RunningSegment running, WriterLock lock) : running_(std::move(running)), lock_(std::move(lock)) {}

  void finish_last();
  [[nodiscard]] Result<void> write(const PlannedBlock& change);
  void retire_missing(const Config& now, const Config& target);
  [[nodiscard]] std::uint32_t find(BlockIndex index, std::string_view name) const;
  [[nodiscard]] Switches add_switches(ChangeReport& report, const Config& target, const Switches& wanted);
  void turn_switch(std::string_view operation, BreakerSwitch position);
  [[nodiscard]] bool counts_only(std::uint32_t block) const;

  RunningSegment running_;
  WriterLock lock_;
};

}  // namespace weir::detail

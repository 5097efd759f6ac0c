// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/config.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/limiter.hpp"

namespace weir {

/// What a live change did, or with `dry_run` would do.
struct ChangeReport {
  std::uint64_t generation = 0;       ///< of the segment after the change
  std::vector<ConfigChange> changes;  ///< empty if these limits were in force already
  /// Of a rollback: the generations in between that were resets. What those forgot does not come back.
  std::vector<std::uint64_t> resets;
};

/// One change of a limit in a running segment.
struct ChangeEntry {
  std::uint64_t generation = 0;  ///< the same for all changes that were made together
  std::chrono::system_clock::time_point when;
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
  std::string program;  ///< any bytes
  ConfigChange change;  ///< of a reset: what was reset, "reset" or "reset operations.x", and how much
  /// If not 0, this is a rollback of all generations from this one up to its own.
  std::uint64_t undoes = 0;
};

/// Changes a limit of a running segment. Every worker follows at its next call.
///
/// @param may_add  whether a key of an unknown operation adds that operation; if not, the error is
///                 Errc::not_in_segment and names the nearest operation.
///
/// Each limit changes at once: no request is decided by half of a change. Several limits change one after the
/// other. A limit keeps what has been spent under it, wherever it stands in its list, and even while it is
/// taken out. The debt of a rate is time and stays the same (so a faster rate pays it off in more tokens),
/// but never exceeds an empty bucket of the new size. Windows keep their counts, also under another length or
/// kind. Permits above a lowered limit drain. A breaker starts again, closed, unless an operator has switched
/// it.
///
/// Errors       Errc::config: the result would be impossible. Errc::conflict: it asks for other settings of
///              the segment (users, workers, ...), or another process is making a change. Errc::no_space: it
///              needs more cells, operations or entries of users than the segment has room for. In each case
///              nothing was changed.
/// Concurrency  There is one change at a time; a second one fails with Errc::conflict instead of waiting.
///              Workers are never stopped.
/// Crash        If the process is killed inside, each limit is the old or the new one, or both hold until the
///              next change. What was asked for is in the history.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> set_limit(std::string_view segment, std::string_view key,
                                                         std::string_view value, bool dry_run = false,
                                                         bool may_add = true) noexcept;
/// Changes all limits, so that the segment enforces `config`. Its segment settings must be those of the segment.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> apply_config(std::string_view segment, const Config& config,
                                                            bool dry_run = false) noexcept;
/// Takes back the last change that was not taken back yet, so calling it again goes one change further back;
/// or takes back all changes since a generation. A rollback is a change itself, and includes the switches of
/// breakers. A reset cannot be taken back: it is passed over, and the report names it.
///
/// Errors  Errc::not_in_segment: there is nothing to take back, or the history does not hold all of it any
///         more, or the segment has not reached that generation yet.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> roll_back(std::string_view segment,
                                                         bool dry_run = false) noexcept;
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> roll_back_to(std::string_view segment,
                                                            std::uint64_t generation,
                                                            bool dry_run = false) noexcept;

/// Returns limits of a running segment to "never seen", as Limiter::reset() does, and says so in the history.
///
/// @param operation  only the limits of this operation and of its users; empty: of all.
/// @param user       only what this user owes, under any limit; with it, `operation` is empty. The history has its
///                   hash, as the list of users.
///
/// Errors       Errc::not_in_segment: the segment does not have the operation. Errc::invalid_argument: both are given.
///              Errc::conflict: another process is changing limits.
/// Crash        If the process is killed inside, it is in the history, and some limits are reset.
[[nodiscard]] WEIR_EXPORT Result<ResetReport> reset_limits(std::string_view segment,
                                                           std::string_view operation = {},
                                                           std::string_view user = {},
                                                           bool dry_run = false) noexcept;

/// Lists what differs between the limits of a running segment and a configuration. Settings of the segment on
/// which no limit depends (name, mode, group, what to do on faults) are left out.
[[nodiscard]] WEIR_EXPORT Result<std::vector<ConfigChange>> difference_to(std::string_view segment,
                                                                          const Config& config) noexcept;

/// The last changes, newest first; at most 64.
[[nodiscard]] WEIR_EXPORT Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept;

/// Switches the breaker of an operation; `automatic` closes it and lets it follow outcomes again. This is a
/// change like any other, under the key "operations.X.breaker.state".
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> switch_breaker(std::string_view segment,
                                                              std::string_view operation,
                                                              BreakerSwitch position,
                                                              bool dry_run = false) noexcept;

/// The name of a switch position: "automatic", "forced_open", ...
[[nodiscard]] WEIR_EXPORT std::string_view to_string(BreakerSwitch position) noexcept;

}  // namespace weir

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/config.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"

namespace weir {

/// What a live change did, or with `dry_run` would do.
struct ChangeReport {
  std::uint64_t generation = 0;       ///< of the segment after it
  std::vector<ConfigChange> changes;  ///< empty: everything was so already
};

/// One change of a limit in a running segment.
struct ChangeEntry {
  std::uint64_t generation = 0;  ///< changes made together have the same
  std::chrono::system_clock::time_point when;
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
  std::string program;  ///< any bytes
  ConfigChange change;
};

/// Changes the limits of a running segment. Every worker follows at its next call.
///
/// Each limit changes at once: nobody decides by half of it. Of several limits one changes after the other.
/// What a change means for what has been spent: a rate's debt is time, and stays (so a faster rate pays it
/// off in more tokens), but never more than an empty bucket of the new size; windows keep their counts unless
/// their length or kind changes; permits above a lowered limit drain; a breaker starts anew, closed.
///
/// Errors       Errc::config: the result would be impossible; Errc::conflict: it asks for other settings of
/// the
///              segment (users, workers, ...), or somebody is just making another change; Errc::no_space:
///              more cells or operations than the segment has room for. Nothing was changed then.
/// Concurrency  one change at a time: another is told so, nobody waits. Workers are never stopped.
/// Crash        killed inside: each limit is the old or the new one. What was asked for is in the history.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> set_limit(std::string_view segment, std::string_view key,
                                                         std::string_view value,
                                                         bool dry_run = false) noexcept;
/// The same for all limits: afterwards the segment enforces `config`. Its segment settings must be the same.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> apply_config(std::string_view segment, const Config& config,
                                                            bool dry_run = false) noexcept;
/// Takes the last change back, which is a change itself.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> roll_back(std::string_view segment,
                                                         bool dry_run = false) noexcept;

/// The last changes, newest first; at most 64.
[[nodiscard]] WEIR_EXPORT Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept;

/// An operator's switch of a breaker; `automatic` closes it and lets it follow the outcomes again.
[[nodiscard]] WEIR_EXPORT Result<void> switch_breaker(std::string_view segment, std::string_view operation,
                                                      BreakerSwitch position) noexcept;

}  // namespace weir

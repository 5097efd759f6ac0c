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
  std::uint64_t undoes =
      0;  ///< of a rollback: all generations from this one up to its own were taken back by it
};

/// Changes the limits of a running segment. Every worker follows at its next call.
///
/// @param may_add  whether a key of an operation that is not there makes it; else Errc::not_in_segment, naming the
/// nearest.
///
/// Each limit changes at once: nobody decides by half of it. Of several limits one changes after the other.
/// What a change means for what has been spent: a limit keeps it wherever it stands in its list, and while it
/// is taken out. A rate's debt is time, and stays (so a faster rate pays it off in more tokens), but never
/// more than an empty bucket of the new size; windows keep their counts, also under another length or kind;
/// permits above a lowered limit drain; a breaker starts again, closed, unless an operator has switched it.
///
/// Errors       Errc::config: the result would be impossible; Errc::conflict: it asks for other settings of
/// the
///              segment (users, workers, ...), or another process is making a change; Errc::no_space: more
///              cells, operations or entries of users than the segment has room for. Nothing was changed
///              then.
/// Concurrency  one change at a time: another is told so, nobody waits. Workers are never stopped.
/// Crash        killed inside: each limit is the old or the new one, or both hold until the next change. What
/// was
///              asked for is in the history.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> set_limit(std::string_view segment, std::string_view key,
                                                         std::string_view value, bool dry_run = false,
                                                         bool may_add = true) noexcept;
/// The same for all limits: afterwards the segment enforces `config`. Its segment settings must be the same.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> apply_config(std::string_view segment, const Config& config,
                                                            bool dry_run = false) noexcept;
/// Takes the last change back that was not taken back yet, so calling it again goes one further back; or all
/// changes since a generation. That is a change itself, also of the switches of breakers.
///
/// Errors  Errc::not_in_segment: nothing to take back, or the history does not hold all of it any more.
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> roll_back(std::string_view segment,
                                                         bool dry_run = false) noexcept;
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> roll_back_to(std::string_view segment,
                                                            std::uint64_t generation,
                                                            bool dry_run = false) noexcept;

/// What differs between the limits of a running segment and a configuration; nothing of the segment's own
/// settings that no limit depends on (name, mode, group, what to do on faults).
[[nodiscard]] WEIR_EXPORT Result<std::vector<ConfigChange>> difference_to(std::string_view segment,
                                                                          const Config& config) noexcept;

/// The last changes, newest first; at most 64.
[[nodiscard]] WEIR_EXPORT Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept;

/// An operator's switch of a breaker; `automatic` closes it and lets it follow the outcomes again. It is a
/// change as any other, under the key "operations.X.breaker.state".
[[nodiscard]] WEIR_EXPORT Result<ChangeReport> switch_breaker(std::string_view segment,
                                                              std::string_view operation,
                                                              BreakerSwitch position,
                                                              bool dry_run = false) noexcept;

/// What the switches of breakers are called: "automatic", "forced_open", ...
[[nodiscard]] WEIR_EXPORT std::string_view to_string(BreakerSwitch position) noexcept;

}  // namespace weir

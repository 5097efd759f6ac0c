#pragma once

#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/policy.hpp"

namespace weir::shm_inspect {

/// The screen of `status`. With colours, what needs attention is red.
[[nodiscard]] std::string render_text(const Snapshot& snapshot, bool colours);

/// What `status` shows of windows, cooldowns, breakers, and limits that only count.
[[nodiscard]] std::string render_guards(const Snapshot& snapshot, bool colours);

/// The screen of `list`.
[[nodiscard]] std::string render_list(const std::vector<SegmentEntry>& entries);
[[nodiscard]] std::string render_json(const std::vector<SegmentEntry>& entries);

/// The screens of `users` and `user`.
[[nodiscard]] std::string render_users(const std::vector<UserEntry>& entries, bool colours);
[[nodiscard]] std::string render_json(const std::vector<UserEntry>& entries);

/// What `set`, `apply` and `rollback` did, or would do.
[[nodiscard]] std::string render_changes(const ChangeReport& report, bool dry_run);
[[nodiscard]] std::string render_json(const ChangeReport& report, bool dry_run);

/// What `reset` did.
[[nodiscard]] std::string render_json(const ResetReport& report);

/// The screen of `history`.
[[nodiscard]] std::string render_history(const std::vector<ChangeEntry>& entries);
[[nodiscard]] std::string render_json(const std::vector<ChangeEntry>& entries);

/// The screen of `workers`.
[[nodiscard]] std::string render_workers(const Snapshot& snapshot, bool colours);

/// The same as one JSON object; `status --help` lists its keys.
[[nodiscard]] std::string render_json(const Snapshot& snapshot);

/// What `check --json` shows; its text is the configuration as TOML.
[[nodiscard]] std::string render_json(const LoadedConfig& loaded);

/// "1.5 MiB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// "evict", as the configuration says it.
[[nodiscard]] std::string_view to_string(TableFull policy) noexcept;

}  // namespace weir::shm_inspect

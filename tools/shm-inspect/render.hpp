// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/fields.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "remarks.hpp"

namespace weir::shm_inspect {

/// The screen of `status`. With colours, what needs attention is red.
[[nodiscard]] std::string render_text(const Snapshot& snapshot, bool colours);
/// The screen of `workers`.
[[nodiscard]] std::string render_workers(const Snapshot& snapshot, bool colours);
/// The screen of `list`.
[[nodiscard]] std::string render_list(const std::vector<SegmentEntry>& entries, bool colours);
/// The screens of `users` and `user`.
[[nodiscard]] std::string render_users(const std::vector<UserEntry>& entries, bool colours);
/// What `set`, `apply` and `rollback` did, or would do.
[[nodiscard]] std::string render_changes(const ChangeReport& report, bool dry_run);
/// The screen of `history`.
[[nodiscard]] std::string render_history(const std::vector<ChangeEntry>& entries);

/// The same as JSON, with the keys of weir/fields.hpp.
[[nodiscard]] std::string render_json(const Snapshot& snapshot);
[[nodiscard]] std::string render_json(const std::vector<SegmentEntry>& entries);
[[nodiscard]] std::string render_json(const std::vector<UserEntry>& entries);
[[nodiscard]] std::string render_json(const ChangeReport& report, bool dry_run);
[[nodiscard]] std::string render_json(const std::vector<ChangeEntry>& entries);
[[nodiscard]] std::string render_json(const ResetReport& report, bool dry_run);
[[nodiscard]] std::string render_json(const EventPage& page);
/// On one line.
[[nodiscard]] std::string render_json_line(const EventEntry& entry);
/// What `check --json` shows; its text is the configuration as TOML.
[[nodiscard]] std::string render_json(const LoadedConfig& loaded, const std::vector<Remark>& remarks);

/// The keys of `status --json`, for --help.
[[nodiscard]] std::string render_status_keys();
/// The keys of `list --json`, for --help.
[[nodiscard]] std::string render_list_keys();
/// What `fields` shows: every key of every command; `markdown` is docs/inspector.md.
[[nodiscard]] std::string render_fields();
[[nodiscard]] std::string render_fields_markdown();

}  // namespace weir::shm_inspect

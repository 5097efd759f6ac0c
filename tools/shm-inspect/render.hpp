#pragma once

#include <string>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/policy.hpp"

namespace weir::shm_inspect {

/// The screen of `status`. With colours, what needs attention is red.
[[nodiscard]] std::string render_text(const Snapshot& snapshot, bool colours);

/// The screen of `workers`.
[[nodiscard]] std::string render_workers(const Snapshot& snapshot, bool colours);

/// The same as one JSON object; `status --help` lists its keys.
[[nodiscard]] std::string render_json(const Snapshot& snapshot);

/// What `check --json` shows; its text is the configuration as TOML.
[[nodiscard]] std::string render_json(const LoadedConfig& loaded);

/// "evict", as the configuration says it.
[[nodiscard]] std::string_view to_string(TableFull policy) noexcept;

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A snapshot in the forms that people and programs read. A service shows its own limits so:
//
//   const auto snapshot = limiter.snapshot();
//   if (!snapshot) return unavailable(snapshot.error());
//   return weir::to_json(*snapshot).value();
//
// All of them walk the lists of fields.hpp, so a new value is in each.

#include <string>

#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/inspect.hpp"

namespace weir {

// Errors  None of these fails but for want of memory.

/// The screen of `shm-inspect status`. Names of unknown origin are safe to print.
/// @param colours  red for what needs attention, by escape sequences of a terminal.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_text(const Snapshot& snapshot,
                                                      bool colours = false) noexcept;
/// The screen of `shm-inspect workers`: the attached processes and the requests that wait.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_workers_text(const Snapshot& snapshot,
                                                              bool colours = false) noexcept;

/// One JSON object, as `shm-inspect status --json` prints it.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_json(const Snapshot& snapshot) noexcept;

}  // namespace weir

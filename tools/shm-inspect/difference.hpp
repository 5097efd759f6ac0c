// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "recording.hpp"

namespace weir::shm_inspect {

/// What changed between two snapshots of status --json, by the lists of weir/fields.hpp: of a counter the difference and
/// how much that is a second, of everything else its value before and after.
/// Keys: from, to (times), seconds, replaced, changes (a list of list, row, key, kind, from, to, difference, per_second).
[[nodiscard]] Json difference_between(const Recorded& before, const Recorded& after);

/// That as a table. Times that pass by themselves, as the age of a worker, are left out.
[[nodiscard]] std::string render_difference(const Json& difference);

}  // namespace weir::shm_inspect

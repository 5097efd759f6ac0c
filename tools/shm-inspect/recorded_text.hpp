// SPDX-License-Identifier: Apache-2.0
#pragma once

// Recorded snapshots as text. What a file holds may be anything.

#include <string>
#include <string_view>

#include "recording.hpp"

namespace weir::shm_inspect {

/// The member of an object; nullptr if it has none of that key, or is not an object.
[[nodiscard]] const Json* member(const Json& object, std::string_view key);

/// A value as it stands in a cell: "12,000", "-", "closed"; "..." for a list or an object.
[[nodiscard]] std::string plain_text(const Json& value);

/// The tables of `status` and `workers`, by the lists of weir/fields.hpp.
[[nodiscard]] std::string render_recorded(const Json& status, bool colours);

}  // namespace weir::shm_inspect

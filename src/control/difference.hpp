#pragma once

// What to do with a configuration that the segment does not enforce, for who opens it.

#include <string_view>
#include <vector>

#include "weir/config.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"

namespace weir::detail {

/// What differs, noted in the segment for shm-inspect status.
[[nodiscard]] std::vector<ConfigChange> note_difference(std::string_view segment, const Config& config);

/// Makes the segment enforce the limits of a configuration, whatever its settings of the segment are.
[[nodiscard]] Result<void> apply_limits(std::string_view segment, const Config& config);

}  // namespace weir::detail

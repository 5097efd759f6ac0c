// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weir/config.hpp"

namespace weir::detail {

/// Makes changes, and checks single values but not what they say together.
/// Errors  Errc::config; `config` is then unchanged.
[[nodiscard]] Result<void> apply_unchecked(Config& config, const std::vector<ConfigChange>& changes);

}  // namespace weir::detail

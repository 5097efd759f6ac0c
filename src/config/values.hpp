// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weir/config.hpp"

namespace weir::detail {

/// Makes changes, and does not look at what the values say together.
/// Errors  Errc::config; `config` is as before.
[[nodiscard]] Result<void> apply_unchecked(Config& config, const std::vector<ConfigChange>& changes);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/config.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// Applies the environment to the tree of a file, and spreads [defaults] over the operations in between: a variable
/// that sets a value of [defaults] reaches the operations, and one that sets a value of an operation replaces what it
/// inherits.
/// Errors  Errc::config, naming the variable.
[[nodiscard]] Result<void> apply_environment(Node& root, const Environment& environment);

}  // namespace weir::detail

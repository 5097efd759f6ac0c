// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/policy.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// Turns a tree into a configuration and checks it as a whole. [defaults] is checked but not used:
/// apply_environment() has spread it over the operations before.
/// Errors  Errc::config: the mistake that comes first in the file, with its position.
[[nodiscard]] Result<Config> load_from_tree(const Node& root);

/// Turns a tree into a configuration, and checks single values but not what they say together.
[[nodiscard]] Result<Config> load_unchecked(const Node& root);

}  // namespace weir::detail

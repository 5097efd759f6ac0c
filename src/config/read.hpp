// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/policy.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// The configuration that a tree means, checked as a whole. [defaults] are checked and then left alone:
/// inherit() has spread them by now.
/// Errors  Errc::config: of all mistakes, the one that comes first in the file, with its position.
[[nodiscard]] Result<Config> load_from_tree(const Node& root);

/// The same without a look at what the values say together.
[[nodiscard]] Result<Config> load_unchecked(const Node& root);

/// Gives operations what [defaults] say and they leave out.
void inherit(Node& root);

}  // namespace weir::detail

#pragma once

#include "weir/policy.hpp"

#include "base/expected.hpp"
#include "config/document.hpp"

namespace weir::detail {

/// The configuration that a tree means, checked as a whole. [defaults] are checked and then left alone:
/// inherit() has spread them by now.
/// Errors  Errc::config: of all mistakes, the one that comes first in the file, with its place.
[[nodiscard]] Expected<Config> read_config(const Node& root);

/// Gives operations what [defaults] say and they leave out.
void inherit(Node& root);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weir/config.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// Applies the environment to the tree of a file, and spreads [defaults] over the operations in between: a variable
/// that sets a value of [defaults] reaches the operations, and one that sets a value of an operation replaces what it
/// inherits.
/// Errors  Errc::config, naming the variable.
[[nodiscard]] Result<void> apply_environment(Node& root, const Environment& environment);

/// Applies the variables that services commonly have already (RATE_LIMIT_REQUESTS_PER_MINUTE, ...) to [defaults].
[[nodiscard]] Result<void> apply_plain_names(Node& root, const Environment& environment);
[[nodiscard]] bool is_plain_name(std::string_view name);

/// The position of values that a variable sets.
[[nodiscard]] SourcePosition position_of_variable(std::string_view name);

/// The same error, naming the variable that it is about.
[[nodiscard]] Error of_variable(std::string_view name, const Error& error);

}  // namespace weir::detail

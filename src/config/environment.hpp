// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weir/config.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// Puts an environment over a file's tree and spreads [defaults] on the way, so that what a variable says of
/// [defaults] reaches the operations, and what it says of an operation is over whatever that inherits.
/// Errors  Errc::config, naming the variable.
[[nodiscard]] Result<void> apply_environment(Node& root, const Environment& environment);

/// The names that services use already (RATE_LIMIT_REQUESTS_PER_MINUTE, ...): for [defaults].
[[nodiscard]] Result<void> apply_plain_names(Node& root, const Environment& environment);
[[nodiscard]] bool is_plain_name(std::string_view name);

/// The position of what a variable says.
[[nodiscard]] SourcePosition position_of_variable(std::string_view name);

/// An error that names the variable which it is about.
[[nodiscard]] Error of_variable(std::string_view name, const Error& error);

}  // namespace weir::detail

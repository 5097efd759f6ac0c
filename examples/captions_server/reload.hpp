// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/error.hpp"

namespace captions {

/// Loads the limits that the server runs under, from a file or, without one, the built-in limits.
/// @param segment  the name of the segment, instead of the configured one, unless it is empty.
/// Errors  as weir::load_config(); Errc::config where an operation that the routes need is missing.
[[nodiscard]] weir::Result<weir::Config> load_limits(const std::string& file, std::string_view segment);

/// Reads the limits again and makes the segment enforce them, for every worker at its next request. It prints the
/// result; after a failure everything is as it was.
void reload_limits(const std::string& file, std::string_view segment);

}  // namespace captions

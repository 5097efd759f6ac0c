// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whose segment is refused. A process that may write a segment can change every limit, and can truncate the file under
// its mappings, so owner, group and mode must be as private as we would make them.

#include <string_view>
#include <sys/stat.h>

#include "base/result.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

/// Whether the file is one that a trusted user made. Asked before its first byte is read.
/// Errors  Errc::foreign, permission.
[[nodiscard]] Result<void> check_owner(const struct stat& info, std::string_view name, const Trust& trust);

/// Whether the file is as private as the configuration of its segment says. Asked once it is known to be a segment.
/// Errors  Errc::permission.
[[nodiscard]] Result<void> check_openness(const struct stat& info, std::string_view name, const Trust& trust);

}  // namespace weir::detail

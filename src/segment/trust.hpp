// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whose segment is refused. A process that may write a segment can change every limit, and can truncate the file under
// its mappings, so owner, group and mode must be as private as we would make them.

#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/result.hpp"

namespace weir::detail {

/// Which segments a caller works with, beside those of its own user and of root: a user that may write a segment sets
/// its limits, and can truncate it.
struct Trust {
  /// For tools: an operator names a segment in order to look at it or to change it.
  bool root_trusts_all = true;
  /// From a configuration: the file must not be more open than this, nor belong to another group.
  std::optional<mode_t> mode = {};
  std::optional<gid_t> group = {};  ///< its members may make the segment, too
};

/// Whether the file is one that a trusted user made. Asked before its first byte is read.
/// Errors  Errc::foreign, permission.
[[nodiscard]] Result<void> check_owner(const struct stat& info, std::string_view name, const Trust& trust);

/// Whether the file is as private as the configuration of its segment says. Asked once it is known to be a segment.
/// Errors  Errc::permission.
[[nodiscard]] Result<void> check_openness(const struct stat& info, std::string_view name, const Trust& trust);

}  // namespace weir::detail

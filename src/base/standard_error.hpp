// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace weir::detail {

/// Writes "weir: MESSAGE" and a newline to the standard error, which may be closed, full, or a pipe without a
/// reader. A message that is not taken at once is lost; a message that does not fit into a line of 1 KiB is
/// cut.
void write_to_standard_error(std::string_view message) noexcept;

}  // namespace weir::detail

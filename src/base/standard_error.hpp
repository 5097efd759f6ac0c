#pragma once

#include <string_view>

namespace weir::detail {

/// Writes "weir: MESSAGE" and a new line to the standard error, which may be closed, full, or read by nobody.
/// A message that is not taken at once is lost; a longer one than fits a line of 1 KiB is cut.
void write_to_standard_error(std::string_view message) noexcept;

}  // namespace weir::detail

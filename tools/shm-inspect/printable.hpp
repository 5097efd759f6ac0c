#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>

namespace weir::shm_inspect {

/// Text that is safe on an administrator's terminal: anything but printable ASCII as \x1b. Names in a segment
/// are whatever its writer put there.
inline std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = c >= ' ' && c <= '~';
    result += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return result;
}

}  // namespace weir::shm_inspect

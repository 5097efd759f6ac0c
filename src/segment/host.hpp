#pragma once

// What ties a segment to a host: its clock. After a reboot, or in another time namespace, the times in the
// segment mean nothing.

#include <array>
#include <cstdint>

namespace weir::detail {

struct HostIdentity {
  std::array<std::uint8_t, 16> boot_id{};  ///< zero where /proc does not tell
  std::uint64_t time_namespace = 0;        ///< zero where /proc does not tell

  [[nodiscard]] static HostIdentity current() noexcept;
};

}  // namespace weir::detail

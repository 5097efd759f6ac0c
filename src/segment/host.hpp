// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment is tied to a host by its clock. After a reboot the times in the segment mean nothing; nor do they
// in a time namespace whose clock is set differently. In most time namespaces it is not: every container gets
// one of its own. So the offsets of the clocks are compared, and not the namespaces.

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

namespace weir::detail {

struct HostIdentity {
  std::array<std::uint8_t, 16> boot_id{};  ///< zero if /proc does not show it
  std::uint64_t time_namespace = 0;        ///< inode; zero if /proc does not show it
  /// Nanoseconds by which the monotonic clock and the boot clock are ahead of the host's.
  std::array<std::int64_t, 2> clock_offsets{kUnknownOffset, kUnknownOffset};

  static constexpr std::int64_t kUnknownOffset = std::numeric_limits<std::int64_t>::min();

  [[nodiscard]] static HostIdentity current() noexcept;
};

/// The offsets in the text of /proc/self/timens_offsets; unknown if it is not such a text.
[[nodiscard]] std::array<std::int64_t, 2> parse_clock_offsets(std::string_view text) noexcept;

}  // namespace weir::detail

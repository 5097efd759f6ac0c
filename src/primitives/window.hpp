// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the window limits have in common: `limit` admissions in any span of `length`.

#include <bit>
#include <cstdint>

#include "base/ticks.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

struct WindowParams {
  std::uint64_t length = 0;  ///< ticks, 1 to kMaxDepthTicks
  std::uint32_t limit = 0;

  friend constexpr bool operator==(const WindowParams&, const WindowParams&) = default;
};

/// The shortest window that a policy may ask for.
inline constexpr std::uint64_t kMinWindowTicks = ticks_from_ns(1'000'000);

/// How many bits give every epoch of `length` a number of its own for as long as 64 bits hold ticks. So epoch
/// numbers never wrap around, and if an epoch lies ahead of a clock reading, the reading is late, however
/// late it is.
[[nodiscard]] constexpr unsigned epoch_bits(std::uint64_t length) noexcept {
  return 65 - static_cast<unsigned>(std::bit_width(length));
}

/// Whether an epoch lies further ahead of a clock reading's epoch than any policy allows, which means damage.
/// A bound closer to what is legal would let a late clock reading forget what was counted since.
[[nodiscard]] constexpr bool beyond_any_clock(std::uint64_t epochs_ahead, std::uint64_t length) noexcept {
  return epochs_ahead > 2 * kMaxDepthTicks / length;
}

}  // namespace weir::detail

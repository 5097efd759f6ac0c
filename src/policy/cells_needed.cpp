// SPDX-License-Identifier: Apache-2.0
#include "policy/cells_needed.hpp"

#include <algorithm>

#include "policy/params.hpp"
#include "primitives/permits.hpp"
#include "primitives/window_ring.hpp"

namespace weir::detail {

std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept {
  if (kind_of(index) != LimitKind::permits || scope_of(index) != LimitScope::shared || value.params == 0)
    return 0;
  constexpr std::uint64_t kLeast = 64;  // a small limit can be raised to more than twice its first value
  // Whole lines, so that the cells of the next limit begin in one of their own.
  constexpr std::uint64_t kCellsInLine = kCacheLine / sizeof(Word);
  const std::uint64_t cells = (2 * value.params + kCellsInLine - 1) / kCellsInLine * kCellsInLine;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(cells, kLeast, kMaxPermits));
}

std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept {
  if (kind_of(index) != LimitKind::window || scope_of(index) != LimitScope::shared || value.params == 0)
    return 0;
  const packed::WindowParams window = packed::to_window(value.params);
  if (window.kind == WindowKind::ring) return kRingCells;
  if (window.kind != WindowKind::log) return 0;
  // One word for the log's hint, and one for each admission that it remembers.
  return 1 + static_cast<std::uint32_t>(
                 std::clamp<std::uint64_t>(2 * std::uint64_t{window.limit}, 8, kMaxPermits));
}

std::uint32_t seats_for(std::uint32_t index, const LimitValue& value) noexcept {
  if (kind_of(index) != LimitKind::queue) return 0;
  const std::uint32_t seats = packed::to_queue(value.params).seats;
  constexpr std::uint32_t kLeast = 64;  // as for permits
  return seats == 0 ? 0 : std::clamp(2 * seats, kLeast, kMaxSeats);
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "policy/cells.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "policy/cells_needed.hpp"
#include "policy/line_up.hpp"
#include "policy/window_books.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {
namespace {

bool is_ring(std::uint32_t index, std::uint64_t params) {
  return kind_of(index) == LimitKind::window && packed::to_window(params).kind == WindowKind::ring;
}

/// Gives out the next cells of a section. They were never given out before.
template <class Cell>
Result<CellRange> take_cells(Word& used, std::span<Cell> section, std::uint32_t count) {
  const std::uint64_t offset = used.load(std::memory_order_relaxed);
  if (offset + count > section.size()) {
    return fail(Errc::no_space,
                fmt::format("{} more cells: this segment has {} left of {}", count,
                            section.size() - std::min<std::uint64_t>(offset, section.size()), section.size()),
                "remove the segment and let it be created again with the new limits");
  }
  used.store(offset + count, std::memory_order_relaxed);
  return CellRange{static_cast<std::uint32_t>(offset), count};
}

/// How many admission times a log must be able to keep: its limit, or what the window that it takes over from
/// counts, if that is more, since a higher limit may follow.
std::uint32_t times_of_log(const Sections& sections, Block& block, const LimitValue& value,
                           std::uint64_t now) {
  const std::uint32_t limit = packed::to_window(value.params).limit;
  if (value.heir_of == 0) return limit;
  const WindowBooks books = WindowBooks::of(window_of(sections, block.limits[value.heir_of - 1]), now);
  return std::max(limit, static_cast<std::uint32_t>(std::min<std::uint64_t>(books.total(), kMaxPermits)));
}

/// How many cells a record needs at least for its value, and how many it gets if it has fewer.
struct Need {
  std::uint32_t least = 0;
  std::uint32_t wanted = 0;
};
Need need_of(const Sections& sections, Block& block, std::uint32_t index, const LimitValue& value,
             std::uint64_t now) {
  switch (kind_of(index)) {
    case LimitKind::permits:
      return {static_cast<std::uint32_t>(value.params), permit_cells_for(index, value)};
    case LimitKind::queue:
      return {packed::to_queue(value.params).seats, seats_for(index, value)};
    case LimitKind::window: {
      const std::uint32_t usual = window_cells_for(index, value);
      if (usual == 0 || is_ring(index, value.params)) return {kRingCells, usual};
      const std::uint32_t least = times_of_log(sections, block, value, now) + 1;
      return {least, std::max(usual, least)};
    }
    case LimitKind::rate:
    case LimitKind::cooldown:
    case LimitKind::breaker:
      break;
  }
  return {};
}

/// How many new cells a record needs for its new value; 0 if it can keep those that it has.
Result<std::uint32_t> cells_to_take(const Sections& sections, Block& block, std::uint32_t index,
                                    const LimitValue& value, std::uint64_t now) {
  const Need need = need_of(sections, block, index, value, now);
  const LimitRecord& where = block.limits[index];
  const CellRange has = CellRange::from_word(where.cells.load(std::memory_order_relaxed));
  if (need.wanted == 0 || has.count >= need.least) return 0U;
  const bool in_use = where.params.load(std::memory_order_relaxed) != 0;
  // Permits are held in the old cells, and a second range would be a second limit. In the same way requests may still
  // wait in the old seats, and those that look at a second range would overtake them.
  const bool queue = kind_of(index) == LimitKind::queue;
  if ((queue || kind_of(index) == LimitKind::permits) && has.count != 0 && in_use) {
    return fail(Errc::no_space,
                fmt::format("{}: at most {} in this segment, whose {} were given out at first",
                            queue ? "queue" : "concurrent", has.count, queue ? "seats" : "cells"),
                "remove the segment and let it be created again");
  }
  return need.wanted;
}

}  // namespace

Result<Room> room_for(const Sections& sections, std::uint32_t block_index, const BlockValue& value,
                      std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const auto lined_up = line_up(block, value);
  if (!lined_up) return lined_up.error();
  Room room;
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    const auto cells = cells_to_take(sections, block, i, (*lined_up)[i], now);
    if (!cells) return cells.error();
    if (kind_of(i) == LimitKind::permits) room.permit_cells += *cells;
    if (kind_of(i) == LimitKind::window) room.window_cells += *cells;
    if (kind_of(i) == LimitKind::queue) room.seats += *cells;
  }
  return room;
}

Result<void> provide_cells(const Sections& sections, Block& block, std::uint32_t index,
                           const LimitValue& value, std::uint64_t now) {
  const auto wanted = cells_to_take(sections, block, index, value, now);
  if (!wanted) return wanted.error();
  if (*wanted == 0) return {};
  Control& control = *sections.control;
  const LimitKind kind = kind_of(index);
  auto cells = kind == LimitKind::permits ? take_cells(control.permit_cells, sections.permit_cells, *wanted)
               : kind == LimitKind::queue ? take_cells(control.seats, sections.seats, *wanted)
                                          : take_cells(control.window_cells, sections.window_cells, *wanted);
  if (!cells) return cells.error();
  block.limits[index].cells.store(cells->word(), std::memory_order_relaxed);
  return {};
}

}  // namespace weir::detail

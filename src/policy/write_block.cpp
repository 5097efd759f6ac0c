// SPDX-License-Identifier: Apache-2.0
#include "policy/write_block.hpp"

#include <algorithm>
#include <array>

#include "policy/cells.hpp"
#include "policy/line_up.hpp"
#include "policy/turn.hpp"
#include "policy/window_books.hpp"

namespace weir::detail {
namespace {

/// Whether a record says this already, in these words.
bool is_written(const LimitRecord& record, std::uint32_t index, const LimitValue& value) noexcept {
  if (record.params.load(std::memory_order_relaxed) != value.params) return false;
  return kind_of(index) != LimitKind::rate || (record.before.load(std::memory_order_relaxed) == value.count &&
                                               record.period.load(std::memory_order_relaxed) == value.period);
}

/// Writes the params of a record, and what goes with them.
void write_record(LimitRecord& record, std::uint32_t index, const LimitValue& value, std::uint64_t now) {
  const std::uint64_t before = record.params.load(std::memory_order_relaxed);
  if (kind_of(index) == LimitKind::rate) {
    record.before.store(value.count, std::memory_order_relaxed);
    record.period.store(value.period, std::memory_order_relaxed);
    // crash here: shown as 1 in its interval until it is set again; enforced as before.
  } else if (kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::user) {
    const packed::WindowParams old = packed::to_window(before);
    const packed::WindowParams next = packed::to_window(value.params);
    // crash here: the params say the same as `before` then, and mean what they meant.
    if (before != 0 && (old.kind != next.kind || old.length_ms != next.length_ms)) {
      record.before.store(before, std::memory_order_relaxed);
      record.period.store(1, std::memory_order_relaxed);
    }
  }
  if (kind_of(index) == LimitKind::permits && record.state.load(std::memory_order_relaxed) < value.params) {
    record.state.store(value.params, std::memory_order_relaxed);
  }
  if (before != 0) record.changed.store(std::max<std::uint64_t>(now, 1), std::memory_order_relaxed);
  // sync(reach), sync(changed): release; pairs with the acquire of a worker that goes on to permit_cells(),
  // and of one that asks how old the params are.
  record.params.store(value.params, std::memory_order_release);
}

/// Adds what an old record counts, and is not in `known` yet, to its heir.
void take_over(const Sections& sections, LimitRecord& heir, LimitRecord& old, const WindowBooks& known,
               std::uint64_t now) {
  const WindowBooks books = WindowBooks::of(window_of(sections, old), now);
  books.without(known).charge_to(window_of(sections, heir));
}

}  // namespace

Result<LimitMask> write_block(const Sections& sections, std::uint32_t block_index, const BlockValue& value,
                              std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const auto lined_up = line_up(block, value);
  if (!lined_up) return lined_up.error();
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    if (auto cells = provide_cells(sections, block, i, (*lined_up)[i], now); !cells) return cells.error();
  }
  const Presence before = block.presence(std::memory_order_relaxed);
  LimitMask changed = 0;
  LimitMask heirs = 0;
  Presence presence;
  Presence with_old;  // records that have an heir are enforced until that has taken over
  std::array<WindowBooks, kBlockLimits> known;
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    LimitRecord& record = block.limits[i];
    const LimitValue& next = (*lined_up)[i];
    // What goes does so by its bit alone, and may come back as it was.
    if (next.params == 0) continue;
    presence.add(i, next.mode);
    with_old.add(i, next.mode);
    const bool with_new_books =
        is_shared_window(i) && !before.has(i) &&
        (next.heir_of != 0 || listing_of(record).superseded || !goes_on(record, next.params));
    // Before params: killed between the two, an heir would pass for a limit that went with these params.
    record.listing.store(Listing{next.mode, next.order, next.heir_of, false}.word(),
                         std::memory_order_relaxed);
    if (!is_written(record, i, next)) {
      write_record(record, i, next, now);
      changed |= LimitMask{1} << i;
    }
    if (with_new_books) clear_books(sections, record);
    if (next.heir_of == 0) continue;
    LimitRecord& old = block.limits[next.heir_of - 1];
    heirs |= LimitMask{1} << i;
    with_old.add(next.heir_of - 1, mode_of(block, next.heir_of - 1));
    known[i] = WindowBooks::of(window_of(sections, old), now);
    known[i].charge_to(window_of(sections, record));
  }
  // sync(present): release; pairs with the acquire of a decision. crash before: new records are nobody's.
  block.present.store(with_old.word(), std::memory_order_release);
  move_turn(sections.control->turn);
  // crash here: heirs are enforced beside what they take over from, and finish_block() adds what is missing.
  for (const std::uint32_t i : LimitIndices(heirs)) {
    LimitRecord& old = block.limits[(*lined_up)[i].heir_of - 1];
    take_over(sections, block.limits[i], old, known[i], now);
    Listing left = listing_of(old);
    left.superseded = true;
    old.listing.store(left.word(), std::memory_order_relaxed);
  }
  if (heirs != 0) block.present.store(presence.word(), std::memory_order_release);
  for (const std::uint32_t i : LimitIndices(heirs)) {
    block.limits[i].listing.store(Listing{(*lined_up)[i].mode, (*lined_up)[i].order}.word(),
                                  std::memory_order_relaxed);
  }
  return changed | (before.enforced() ^ presence.enforced()) | (before.counting() ^ presence.counting());
}

void finish_block(const Sections& sections, std::uint32_t block_index, std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const Presence before = block.presence(std::memory_order_relaxed);
  if (listed_limits(block, before) == before.any()) return;
  move_turn(sections.control->turn);
  Presence presence;
  for (const std::uint32_t i : LimitIndices(listed_limits(block, before))) {
    presence.add(i, mode_of(block, i));
    LimitRecord& record = block.limits[i];
    Listing listing = listing_of(record);
    if (listing.heir_of == 0 || listing.heir_of > kBlockLimits) continue;
    LimitRecord& old = block.limits[listing.heir_of - 1];
    // How much the killed change had taken over is not known: all of it, perhaps twice.
    if (is_shared_window(i) && before.has(listing.heir_of - 1)) take_over(sections, record, old, {}, now);
    Listing left = listing_of(old);
    left.superseded = true;
    old.listing.store(left.word(), std::memory_order_relaxed);
  }
  block.present.store(presence.word(), std::memory_order_release);
  for (const std::uint32_t i : LimitIndices(presence.any())) {
    Listing listing = listing_of(block.limits[i]);
    listing.heir_of = 0;
    block.limits[i].listing.store(listing.word(), std::memory_order_relaxed);
  }
}

}  // namespace weir::detail

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

/// Whether a record has this value already, with a rate in the same count and period, and leased as before.
bool is_written(const LimitRecord& record, std::uint32_t index, const LimitValue& value) noexcept {
  if (record.params.load(std::memory_order_relaxed) != value.params) return false;
  return kind_of(index) != LimitKind::rate ||
         (record.before.load(std::memory_order_relaxed) == value.count &&
          record.period.load(std::memory_order_relaxed) == value.period &&
          listing_of(record).lease == value.lease);
}

/// Writes the params of a record, and the words that belong to them.
void write_record(LimitRecord& record, std::uint32_t index, const LimitValue& value, std::uint64_t now) {
  const std::uint64_t before = record.params.load(std::memory_order_relaxed);
  if (kind_of(index) == LimitKind::rate) {
    record.before.store(value.count, std::memory_order_relaxed);
    record.period.store(value.period, std::memory_order_relaxed);
    // crash here: the old rate stays in force, and is shown as 1 per emission interval until it is set again.
  } else if (kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::user) {
    const packed::WindowParams old = packed::to_window(before);
    const packed::WindowParams next = packed::to_window(value.params);
    // crash here: `before` equals params, so the states are read as they were.
    if (before != 0 && (old.kind != next.kind || old.length_ms != next.length_ms)) {
      record.before.store(before, std::memory_order_relaxed);
      record.period.store(1, std::memory_order_relaxed);
    }
  }
  if (kind_of(index) == LimitKind::permits && record.state.load(std::memory_order_relaxed) < value.params) {
    record.state.store(value.params, std::memory_order_relaxed);
  }
  if (before != 0 && kind_of(index) != LimitKind::rate) {
    record.changed.store(std::max<std::uint64_t>(now, 1), std::memory_order_relaxed);
  }
  // sync(reach), sync(changed): release; pairs with the acquire of a worker that goes on to permit_cells(),
  // and of one that asks how old the params are.
  record.params.store(value.params, std::memory_order_release);
}

/// Adds to an heir what the old record counts and `known` does not.
void take_over(const Sections& sections, LimitRecord& heir, LimitRecord& old, const WindowBooks& known,
               std::uint64_t now) {
  const WindowBooks books = WindowBooks::of(window_of(sections, old), now);
  books.without(known).charge_to(window_of(sections, heir));
}

}  // namespace

Result<Written> write_block(const Sections& sections, std::uint32_t block_index, const BlockValue& value,
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
  Presence with_old;  // with the records that have an heir: they are enforced until it has taken over
  std::array<WindowBooks, kBlockLimits> known;
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    LimitRecord& record = block.limits[i];
    const LimitValue& next = (*lined_up)[i];
    // A limit is taken out by clearing its bit alone, so that it can come back with what is owed.
    if (next.params == 0) continue;
    presence.add(i, next.mode);
    with_old.add(i, next.mode);
    const bool with_new_books =
        is_shared_window(i) && !before.has(i) &&
        (next.heir_of != 0 || listing_of(record).superseded || !goes_on(record, next.params));
    const bool written = is_written(record, i, next);
    // Store the time of a rate before its listing, which may say that the rate is leased again. The record may have
    // belonged to another operation, so this also goes for a rate that begins. When the segment is made, `now` is 0.
    if (!written && kind_of(i) == LimitKind::rate && now != 0)
      record.changed.store(now, std::memory_order_relaxed);
    // crash here: processes give up what they have leased; the rate is the old one.
    //
    // Store the listing before params: if the process were killed between the two in the other order, the heir would
    // look like a limit that was taken out with these params.
    // sync(changed): release; pairs with rate_step(): a process that sees the listing sees when the rate changed.
    record.listing.store(Listing{next.mode, next.order, next.heir_of, false, next.lease}.word(),
                         std::memory_order_release);
    if (!written) {
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
  const LimitMask begun =
      presence.any() & ~before.any() & ~heirs & ~masks::kQueues;  // a queue charges nothing
  // Before the limits: if the process is killed here, the block gives nothing back until the next change says since
  // when it has them.
  if (begun != 0 && now != 0) block.limits_since.store(Block::kNotYet, std::memory_order_relaxed);
  // sync(present): release; pairs with the acquire of a decision. crash before: new records are not in use.
  block.present.store(with_old.word(), std::memory_order_release);
  move_turn(sections.control->turn);
  // crash here: heirs are enforced beside the records that they replace; finish_block() adds what is missing.
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
  return Written{
      changed | (before.enforced() ^ presence.enforced()) | (before.counting() ^ presence.counting()), begun};
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
    // It is not known how much the killed change had carried over, so carry over everything, some of it twice.
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

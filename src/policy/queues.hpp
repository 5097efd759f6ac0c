// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the requests of an operation wait, and by which rules. docs/waiting.md has the protocol.
//
// A queue has a range of the section of seats, which stays with its record as the cells of a permit do. If the queue
// is made smaller or taken out, requests may go on waiting in seats that are not given out any more, so everything
// that looks for waiters looks at the whole range.

#include <algorithm>
#include <cstdint>
#include <span>

#include "weir/policy.hpp"

#include "base/futex.hpp"
#include "policy/schema.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"

namespace weir::detail {

struct QueueView {
  Queue params{};            ///< without seats if the block has no queue
  std::uint32_t usable = 0;  ///< how many seats may be taken now
  WaitingQueue waiters;      ///< every seat in which a request may wait
};

/// The queue of a block.
[[nodiscard]] inline QueueView queue_of(const Sections& sections, std::uint32_t block) noexcept {
  const LimitRecord& record = sections.blocks[block].limits[kQueue];
  // sync(present), sync(reach): acquire; pairs with write_block(), so a queue that has seats also has its range.
  const bool present = sections.blocks[block].presence(std::memory_order_acquire).has(kQueue);
  QueueView queue;
  queue.params = packed::to_queue(record.params.load(std::memory_order_acquire));
  if (!present) queue.params.seats = 0;
  const CellRange range = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
  const std::span<Seat> seats = range.in(sections.seats);
  queue.usable = std::min(queue.params.seats, static_cast<std::uint32_t>(seats.size()));
  const WaitingOrder order{queue.params.order == QueueOrder::lifo, queue.params.shares};
  queue.waiters = WaitingQueue(seats, queue.usable, range.offset, order, sections.gate->turn);
  return queue;
}

/// The block whose queue serves an operation: its own if it has seats, or else the global one.
[[nodiscard]] inline std::uint32_t queue_block(const Sections& sections,
                                               std::uint32_t operation_block) noexcept {
  return queue_of(sections, operation_block).usable != 0 ? operation_block : kGlobalBlock;
}

/// Rings all waiters: after something that may let any of them pass.
inline void ring_all_waiters(const Sections& sections) noexcept {
  exchange_before_load();
  if (sections.gate->is_open()) ring_all(sections.seats, futex::wake);
}

/// What a limit is to waiters; `nothing` for one that is not waited for.
[[nodiscard]] inline Lacks lacks_of(LimitId limit) noexcept {
  if (limit == LimitId::none) return Lacks::nothing;
  const LimitRef ref = LimitRef::of(limit);
  // Limits of one user, in place of those of every operation, hold over all operations, too.
  const bool global = ref.block == kGlobalBlock || ref.block >= kFirstOverride;
  const bool user = scope_of(ref.index) == LimitScope::user;
  switch (kind_of(ref.index)) {
    case LimitKind::permits:
      if (global) return user ? Lacks::global_user_permits : Lacks::global_permits;
      return user ? Lacks::user_permits : Lacks::permits;
    case LimitKind::rate:
    case LimitKind::window:
      if (global) return user ? Lacks::global_user_quotas : Lacks::global_quotas;
      return user ? Lacks::user_quotas : Lacks::quotas;
    default:
      return Lacks::nothing;
  }
}

/// What a seat says of the user of its request. It is a part of what the entries of that user carry, so the inspector can
/// tell which of them a request waits for.
/// @param tag_hash  UserTable::tag_hash of the user.
[[nodiscard]] constexpr std::uint32_t user_in_seat(std::uint64_t tag_hash) noexcept {
  return (static_cast<std::uint32_t>(tag_hash) & Seated::kUserMask) | 1;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many tenants of a worker slot may pass while a sweep is in progress.
//
// What a worker holds names its slot and the low bits of its generation, four of them in a user's permits. A
// sweeper reads a set of such owners, judges that one of them is gone, and exchanges the set. It may be
// stopped in between, for any time. If sixteen tenants of the slot passed meanwhile, the same bits would name
// a living worker, the set could look the same again, and the exchange would take that worker's permit away.
//
// So a sweeper first announces that it sweeps, and a slot remembers `quiet`: a generation that was its
// current one, or its next one, at a moment without any sweep. A generation is published only if it is less
// than sixteen after that.
//
// Why it holds: a slot is freed only when nothing names its tenant any more (the sweep is complete, or the
// tenant left and held nothing). So at the quiet moment nothing named the tenants before `quiet`, and no
// sweeper had judged one of them. Every sweep that began later has met tenants from `quiet` on, and those
// differ in their low bits from each other and from the one that is being published. The owners of eight bits
// in permit cells and probes differ then, too.
//
//   sweeper    sweeping + 1, in its own slot -> judge and exchange -> sweeping - 1
//     A sweeper without a slot holds a shared lock on a byte of the segment instead (registry.cpp).
//     Killed during the sweep: its slot is published and its tenant is dead, so its sweep does not count.
//     Stopped during the sweep: each slot can have seven to fifteen more tenants. Then new workers get other
//     slots, and when there are none left, an error that names the stopped process.
//   claimant   when eight are used up: reads the generations of all slots -> finds no sweeper -> sets
//              `quiet` of all slots to what it read.
//     Killed or stopped in between: `quiet` is older than it could be. An older value is always right.
// Ordering  sync(sweeping): a sweeper announces, then looks at what is held; other sweepers free the slot, then a
//           claimant looks for sweepers. Each has a sequentially consistent fence in between, so a claimant that
//           finds no sweeper comes before that sweeper's looks. Without the claimant's fence the sweeper could still
//           meet what was held before the slot was freed (tests/models/tenancy_test.cpp).
//           sync(swept): the end of a sweep releases and the look for sweepers acquires, so the exchanges of a
//           sweep that has ended come before what the next tenant does.

#include <atomic>
#include <cstdint>
#include <span>

#include "primitives/owner_set.hpp"
#include "workers/slot.hpp"

namespace weir::detail::tenancy {

/// Call it before the first look of a sweep.
inline void begin_sweep(WorkerSlot& own) noexcept {
  own.sweeping.fetch_add(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(sweeping)
}

/// Call it after the last exchange of a sweep.
inline void end_sweep(WorkerSlot& own) noexcept {
  own.sweeping.fetch_add(~std::uint64_t{0}, std::memory_order_release);  // sync(swept)
}

/// The first slot whose living tenant is sweeping; slots.size() if there is none. dead(slot, tenant) is only
/// called for slots whose tenant says that it sweeps.
template <class Dead>
[[nodiscard]] std::uint32_t find_sweeper(std::span<const WorkerSlot> slots, Dead&& dead) noexcept {
  std::atomic_thread_fence(
      std::memory_order_seq_cst);  // sync(sweeping): after the slots were seen to be free
  for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
    const WorkerSlot& line = slots[slot];
    if (line.sweeping.load(std::memory_order_acquire) == 0) continue;  // sync(swept)
    const auto tenant = SlotIdentity::from_word(line.identity.load(std::memory_order_acquire));
    if (tenant.published && !dead(slot, tenant)) return slot;
  }
  return static_cast<std::uint32_t>(slots.size());
}

/// Whether `generation` may be published, if owners tell `generations` of them apart.
[[nodiscard]] inline bool may_publish(const WorkerSlot& slot, std::uint32_t generation,
                                      std::uint32_t generations = owner_set::kGenerations) noexcept {
  const auto quiet = static_cast<std::uint32_t>(slot.quiet.load(std::memory_order_relaxed));
  return ((generation - quiet) & SlotIdentity::kGenerationMask) < generations;
}

/// @param generation  of the slot, read before a look that found no sweeper.
inline void set_quiet(WorkerSlot& slot, std::uint32_t generation) noexcept {
  slot.quiet.store(generation, std::memory_order_relaxed);  // relaxed: any value read here was right once
}

}  // namespace weir::detail::tenancy

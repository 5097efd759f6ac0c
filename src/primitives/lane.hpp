// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lanes: which thread counts where. A thread that counts owns a lane, so it counts by plain stores.
//
//   owner   0: free
//           the identity of a worker {1 | generation 31 | owner 32}, as Registry::joined(): one of its threads counts here
//   used    one bit for each column (operation) of the lane that has memory
//
// A lane is owned by a process. Which of its threads has which of its lanes, the process keeps in private memory, so a
// thread that ends leaves its lane to a later one of the same process without a store here.
//
//   claim   load owner; if it is 0, or names a worker that is over: one compare-exchange to the own identity.
//           Over is a worker whose slot is free, or has another tenant. A worker that is dead, and was not swept yet, is
//           not over. A worker that left is.
//
// The new owner goes on with the counters as it finds them. Nothing is set to zero, so no sum ever falls.
//
// Crash    killed before the exchange: nothing happened. After it: the lane is that of a dead worker, until a sweep
//          frees the slot of that worker.
// Stopped  before the exchange, while others claim the lane and are over in their turn: the exchange fails, since an
//          identity never comes back (the generation has 31 bits).
// Ordering sync(lane): the exchange acquires; it pairs with what ended the owner before: a sweep, which frees its slot
//          by a release after the kernel said that the process is gone, or the worker itself, which left.
//          sync(used): release and acquire; a reader that sees the bit sees memory.
// Damage   an owner whose slot is out of bounds is over. Any bits of `used` are bits of columns that exist, or are ignored.
// Known    a worker that was taken for dead by mistake counts on until its next call, beside the new owner: then a sum may
//          miss some calls.

#include <array>
#include <cstdint>
#include <span>

#include "base/word.hpp"

namespace weir::detail {

struct alignas(kCacheLine) Lane {
  static constexpr std::uint32_t kMostColumns = 256;

  Word owner;
  std::array<Word, kMostColumns / 64> used;
  Word unrecorded;  ///< of the shared lane: requests that could not be counted, since there was no memory
  std::array<Word, 2> unused;

  [[nodiscard]] bool is_used(std::uint32_t column) const noexcept {
    return (used[column / 64 % used.size()].load(std::memory_order_acquire) >> column % 64 & 1) !=
           0;  // sync(used)
  }
  void set_used(std::uint32_t column) noexcept {
    Word& word = used[column / 64 % used.size()];
    const std::uint64_t bit = std::uint64_t{1} << column % 64;
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    while ((seen & bit) == 0 && !word.compare_exchange(seen, seen | bit, std::memory_order_release)) {
    }
  }
};
static_assert(sizeof(Lane) == kCacheLine);

/// Makes a lane that of worker `mine`.
/// @param is_over  is_over(owner): whether the worker of that identity is gone from its slot.
/// @return whether it is.
template <class IsOver>
[[nodiscard]] bool claim(Lane& lane, std::uint64_t mine, IsOver&& is_over) noexcept {
  std::uint64_t owner = lane.owner.load(std::memory_order_relaxed);
  if (owner == mine || (owner != 0 && !is_over(owner))) return false;
  return lane.owner.compare_exchange(owner, mine, std::memory_order_acquire);  // sync(lane)
}

}  // namespace weir::detail

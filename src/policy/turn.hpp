// SPDX-License-Identifier: Apache-2.0
#pragma once

// The turn of the limits numbers their states, so that a request knows under which state it was decided.
//
//   turn   even: the limits stand still. Odd: a change is being written.
//
//   even -> odd            by the process that holds the lock of changes, before its first word
//   odd  -> the next odd   by the same process, after limits changed and before what is owed is carried over
//   odd  -> the next even  by the same process, after its last word, also if the change failed half-way
//   crash                  the turn stays odd: decisions follow the words as they are; the next change finishes
//                          this one
//
// Ordering  sync(turn): a change moves the turn, fences, and writes words; it ends with release. A reader
//           loads the turn with acquire, reads words, fences, and asks whether the turn stood still. If it did,
//           all that was read is of one turn. After a charge the reader loads the turn once more: either it sees
//           that the turn moved, or the change, which then reads what is owed, sees the charge.
//           The state of a user's window counts in units of the window's length, so a state must not be exchanged
//           by the rule of another turn: the rule that was looked up is used only if the turn stood still until
//           after the state was read; otherwise the rule is read again after the state (UserQuota::spend(),
//           QuotaChange, refund()).
// Source    Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012. Unlike the
//           readers of a seqlock, these never wait: limits that did not stand still serve one request only.

#include <atomic>
#include <cstdint>

#include "base/word.hpp"

namespace weir::detail {

[[nodiscard]] constexpr bool is_being_changed(std::uint64_t turn) noexcept {
  return turn % 2 != 0;
}

/// Loads the turn. Call it before reading the limits.
[[nodiscard]] inline std::uint64_t turn_of_limits(const Word& turn) noexcept {
  return turn.load(std::memory_order_acquire);  // sync(turn)
}

/// Whether everything that was read since the turn `seen` was loaded is of that turn.
[[nodiscard]] inline bool stood_still(const Word& turn, std::uint64_t seen) noexcept {
  std::atomic_thread_fence(std::memory_order_acquire);  // sync(turn)
  return !is_being_changed(seen) && turn.load(std::memory_order_relaxed) == seen;
}

/// Shows every request, also one that is about to charge, that the limits have changed.
inline void move_turn(Word& turn) noexcept {
  turn.fetch_add(2, std::memory_order_seq_cst);  // sync(turn)
}

/// Keeps the turn odd while the process that holds the lock of changes writes limits.
class ChangeOfLimits {
 public:
  explicit ChangeOfLimits(Word& turn) noexcept : turn_(turn) {
    // relaxed: only the holder of the lock moves the turn.
    const std::uint64_t before = turn_.load(std::memory_order_relaxed);
    turn_.store(is_being_changed(before) ? before + 2 : before + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(turn)
  }
  ChangeOfLimits(const ChangeOfLimits&) = delete;
  ChangeOfLimits& operator=(const ChangeOfLimits&) = delete;
  ~ChangeOfLimits() {
    turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // sync(turn)
  }

 private:
  Word& turn_;
};

}  // namespace weir::detail

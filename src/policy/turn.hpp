// SPDX-License-Identifier: Apache-2.0
#pragma once

// The turn of the limits: which state of them a request was decided under.
//
//   turn   even: the limits stand still. Odd: a change is being written.
//
//   even -> odd            the process that holds the lock of changes, before its first word
//   odd  -> the next odd   the same process, after limits changed and before what is owed is carried over
//   odd  -> the next even  the same process, after the last word, also of a change that failed half-way
//   crash                  odd: decisions follow the words as they are; the next change finishes this one
//
// Ordering  sync(turn): a change moves the turn, fences, and writes words; it ends with release. A reader
//           loads the turn with acquire, reads words, fences, and asks whether it stood still. So what it
//           read is of one turn alone. After a charge the reader loads the turn once more: either it sees
//           that the turn moved, or the change, which then reads what is owed, sees the charge.
//           What a user owes in a window is numbered in units of its length, so no state is exchanged by the
//           rule that was looked up unless the turn stood still until after the state was read; where it did
//           not, the rule is read again after the state (UserQuota::spend(), QuotaChange, refund()).
// Source    Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012. Unlike a
//           seqlock's, these readers never wait: what did not stand still serves one request.

#include <atomic>
#include <cstdint>

#include "base/word.hpp"

namespace weir::detail {

[[nodiscard]] constexpr bool is_being_changed(std::uint64_t turn) noexcept {
  return turn % 2 != 0;
}

/// The turn, before the limits are read.
[[nodiscard]] inline std::uint64_t turn_of_limits(const Word& turn) noexcept {
  return turn.load(std::memory_order_acquire);  // sync(turn)
}

/// Whether what was read since `seen` is of that turn alone.
[[nodiscard]] inline bool stood_still(const Word& turn, std::uint64_t seen) noexcept {
  std::atomic_thread_fence(std::memory_order_acquire);  // sync(turn)
  return !is_being_changed(seen) && turn.load(std::memory_order_relaxed) == seen;
}

/// Lets each request, and the charge of any that is on its way, see that limits have changed.
inline void move_turn(Word& turn) noexcept {
  turn.fetch_add(2, std::memory_order_seq_cst);  // sync(turn)
}

/// While it lives, limits are being changed, by the process that holds the lock of changes.
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

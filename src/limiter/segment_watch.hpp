// SPDX-License-Identifier: Apache-2.0
#pragma once

// When to look whether the segment of a limiter is still the one to use.
//
// remove_segment() says so in the segment's last word: from then on each call looks, until there is another
// segment to move to. A segment that was unlinked by other means does not say anything. So while all is well,
// one call in a second looks, too.

#include <atomic>
#include <cstdint>
#include <limits>

#include "base/ticks.hpp"
#include "base/word.hpp"

namespace weir::detail {

class SegmentWatch {
 public:
  /// It is never time to look before begin() was called.
  /// @param removed  the word of the segment that says whether it was removed.
  explicit SegmentWatch(const Word& removed) noexcept : removed_(removed) {}

  /// From `now` (ticks) on, one call in a second looks.
  void begin(std::uint64_t now) noexcept { next_look_.store(now + kInterval, std::memory_order_relaxed); }

  /// Whether the calling thread is to look now. Cost  two loads.
  [[nodiscard]] bool is_due(std::uint64_t now) noexcept {
    // relaxed: a hint, and what it leads to is read through files.
    const std::uint64_t due = next_look_.load(std::memory_order_relaxed);
    const bool removed = removed_.load(std::memory_order_relaxed) != 0;
    if (now < due && !removed) [[likely]]
      return false;
    return is_turn(now, due, removed);
  }

 private:
  /// If several threads find that a look is due, one of them looks. If the segment was removed, each of them does.
  [[gnu::noinline]] bool is_turn(std::uint64_t now, std::uint64_t due, bool removed) noexcept {
    if (due == kNever) return false;
    return removed || next_look_.compare_exchange_strong(due, now + kInterval, std::memory_order_relaxed);
  }

  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t kInterval = ticks_from_ns(1'000'000'000);

  const Word& removed_;
  std::atomic<std::uint64_t> next_look_{kNever};  // ticks
};

}  // namespace weir::detail

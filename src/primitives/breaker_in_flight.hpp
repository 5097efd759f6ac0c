// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counts the calls of a breaker that have begun and have not reported yet, and tells how many of them have
// taken longer than a slow call takes. Thus a backend that hangs is noticed, although no call returns.
//
//   cell   generation 12 | epoch 52  +  last begin 44 | calls 20    one pair, changed as one
//
// A cell counts the calls of one generation that began in one epoch and are still out. An admission adds one,
// and the report takes it back. The latest begin in a cell says when its calls are overdue. Calls that begin
// together and hang are noticed at once. In a stream of calls each is noticed less than an epoch late: an
// eighth of a slow call, or 1/62 of the time that the ring looks back over, if that is more.
//
//   of an earlier epoch or generation -> of this one, one call    an admission; the old content is forgotten
//   of this one -> one call more; one call less                   an admission; the report
//
// Calls that are overdue are never moved to another word: every judgement of the slow rate adds them to what
// the window holds. sync(in_flight): a report takes its call out of the ring, then counts it in the window by
// an exchange that releases; a judgement reads the window first, by loads that acquire, and the ring after
// it. So no judgement meets a call twice. A judgement that meets the call in neither of them comes before the
// judgement of the report.
//
// The ring looks back over a slow call and the window (14 slow calls if the window is one of calls), each up
// to 13 days. A call that is out for longer is forgotten here, and counts when it reports.
//
// Progress lock-free: a lost compare-exchange means that another call was counted.
// Ordering sync(breaker): the exchange is sequentially consistent, and the loads before it in begin()
//          acquire. So an admission that meets a cell of a later generation also meets that generation in
//          current(), and leaves the cell alone.
// Crash    every change is one exchange. Killed before it: the call was not counted. Killed after it, and at
//          any time until the report: the call stays in its cell, counts as one slow call once it is overdue,
//          and is forgotten when the ring moves past it. A worker that is killed in a report, after the call
//          left its cell, leaves nothing behind.
// Stopped  between reading the clock and counting, for however long: a cell of a later epoch stays as it is,
//          and the call counts when it reports. In a report: a cell of another epoch is not touched.
// Full     of the calls that began in one epoch, those beyond 1,048,575 count when they report.
// Damage   the last begin is bounded by the end of its epoch. An epoch further ahead than any policy allows
//          is replaced. A count that is too low stops at 0, and one that is too high is forgotten when the
//          ring moves past it.

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/word.hpp"
#include "primitives/breaker_phase.hpp"
#include "primitives/breaker_window.hpp"

namespace weir::detail {

class BreakerInFlight {
 public:
  static constexpr std::uint32_t kCells = 64;
  static constexpr std::uint32_t kFull = (1U << 20) - 1;

  /// Epochs last an eighth of a slow call, or longer, so that the ring looks back as far as it should.
  [[nodiscard]] static constexpr BreakerEpochs epochs(const BreakerParams& params) noexcept {
    const std::uint64_t slow = std::min(params.slow_call, kMaxBreakerTicks);
    const std::uint64_t memory = params.window != 0 ? std::min(params.window, kMaxBreakerTicks) : 14 * slow;
    // At least 32 ns, as in BreakerWindow::by_time().
    const std::uint64_t ticks = std::max(slow / 8, (slow + memory) / (kCells - 2)) + 1;
    return {std::max(ticks, std::uint64_t{1} << 12), 0, kCells};
  }

  /// Counts a call that begins at `now`, unless `current()`, which is called after the cell was read, says
  /// that `generation` is over.
  /// @return whether the call was counted; then end() must follow.
  template <class Current>
  [[nodiscard]] bool begin(BreakerEpochs epochs, std::uint64_t generation, std::uint64_t now,
                           Current&& current) noexcept {
    const std::uint64_t epoch = now / epochs.ticks;
    const std::uint64_t ours = BreakerWindow::tag(generation, epoch);
    PairWord& cell = cells_[epoch % kCells];
    // sync(breaker): acquire; pairs with the exchange below.
    Pair seen{cell.load_first(std::memory_order_acquire), cell.load_second(std::memory_order_acquire)};
    for (;;) {
      if (seen.first != ours && BreakerWindow::passed(epochs, seen.first, ours)) return false;
      const std::uint64_t counted = seen.first == ours ? seen.second : 0;
      if (calls(counted) == kFull) return false;
      if (!current()) return false;
      const std::uint64_t last = std::max(counted >> kLastShift, breaker_time::deadline(now, 0));
      if (cell.compare_exchange(seen, {ours, last << kLastShift | (calls(counted) + 1)})) return true;
    }
  }

  /// Takes back a call that begin() counted.
  void end(BreakerEpochs epochs, std::uint64_t generation, std::uint64_t began) noexcept {
    const std::uint64_t epoch = began / epochs.ticks;
    const std::uint64_t ours = BreakerWindow::tag(generation, epoch);
    PairWord& cell = cells_[epoch % kCells];
    // relaxed: this process has counted the call before, so another tag means that the cell has moved on.
    Pair seen{cell.load_first(std::memory_order_relaxed), cell.load_second(std::memory_order_relaxed)};
    while (seen.first == ours && calls(seen.second) != 0) {
      if (cell.compare_exchange(seen, {seen.first, seen.second - 1})) return;
    }
  }

  /// How many calls of `generation` have been out for longer than a slow call takes. It only loads.
  [[nodiscard]] std::uint32_t overdue(const BreakerParams& params, std::uint64_t generation,
                                      std::uint64_t now) const noexcept {
    const BreakerEpochs cut = epochs(params);
    const std::uint64_t newest = BreakerWindow::tag(generation, now / cut.ticks);
    std::uint32_t sum = 0;
    for (const PairWord& cell : cells_) {
      // acquire, here and below: the halves are of one moment if the first is the same before and after.
      const std::uint64_t first = cell.load_first(std::memory_order_acquire);
      if (newest - first >= kCells) continue;  // older, or of another generation, or ahead: wraps
      const std::uint64_t second = cell.load_second(std::memory_order_acquire);
      if (calls(second) == 0 || cell.load_first(std::memory_order_relaxed) != first) continue;
      const std::uint64_t end = (now / cut.ticks - (newest - first) + 1) * cut.ticks;
      const std::uint64_t last = std::min((second >> kLastShift) << breaker_time::kUnitShift, end);
      if (now > last && now - last > params.slow_call) sum += calls(second);
    }
    return sum;
  }

 private:
  static constexpr unsigned kLastShift = 20;

  [[nodiscard]] static constexpr std::uint32_t calls(std::uint64_t second) noexcept {
    return static_cast<std::uint32_t>(second) & kFull;
  }

  std::array<PairWord, kCells> cells_;
};
static_assert(sizeof(BreakerInFlight) == 16 * kCacheLine);

}  // namespace weir::detail

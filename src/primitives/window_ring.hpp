// SPDX-License-Identifier: Apache-2.0
#pragma once

// A sliding window for limits too large to keep the time of each admission: a ring of counts.
//
// Time is divided into epochs of such a width that a window of `length` touches at most as many epochs as
// there are cells, and covers all but one of those completely. A request conforms if the counts of all epochs
// that a window ending in its own epoch can touch stay within the limit.
//
//   cell   epoch 36 | count 27 | 1      epoch e is in cell e % K; an even word was never used
//
//   admit   the cell of the newest epoch: {e, n} -> {e, n + cost}, or {older, n} -> {e, cost}; there is no
//           rotation step. Then all cells are summed again. If the sum is above the limit, or if there is a
//           newer epoch now: {e, n} -> {e, n - cost}, and the request is refused, or tried in the newer one.
//
// Bound    Admissions count in the epoch of `now`, or in the newest epoch that was already there. No window
//          of `length` at any position over those epochs holds more than `limit` admissions. The price: an
//          admission stays counted until its whole epoch has left the window, up to one width,
//          length / (K - 1), longer than exact (plus less than K ticks, because widths are whole ticks).
//          Charges and a lowered limit are exceptions.
// Why      Consider all requests that were admitted to the epochs of one window. The last of them to charge
//          summed after all charges. There was no newer epoch than its own, or it would not have stayed; so
//          its sum was of this window, and complete. (Dekker's argument: each process writes first and then
//          reads, in one total order, hence seq_cst.) Two requests that meet at the limit may both see each
//          other and both be refused.
// Progress lock-free. A refusal because of what is already counted only loads.
// Late     A worker whose epoch is not the newest charges the newest: its clock reading was late.
// Crash    Killed before the charge: nothing is counted. After it: the request is counted, at most until the
//          window has passed, even if it was about to be refused.
// Damage   An epoch more than 2 * kMaxDepthTicks ahead counts as never used, and will be replaced.
// Epochs   They are never narrower than 2^28 ticks (2.1 ms), so that 36 bits number them for as long as 64
//          bits hold ticks. Windows too short for K - 1 such epochs use fewer cells, each for a wider epoch.
//          A window that is shorter than 2.1 ms uses two cells, and counts for up to two widths longer.
// Length   Epochs are numbered differently for another length: then call reset().

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <span>

#include "base/word.hpp"
#include "primitives/window.hpp"

namespace weir::detail {

inline constexpr std::uint32_t kRingCells = 60;

namespace ring_cell {

inline constexpr unsigned kEpochShift = 28;
inline constexpr std::uint64_t kIsCount = 1;  // a time of a log is even
inline constexpr std::uint64_t kMaxCount = (std::uint64_t{1} << (kEpochShift - 1)) - 1;
inline constexpr std::uint64_t kMinWidth = std::uint64_t{1}
                                           << kEpochShift;  // 2^64 ticks are 2^36 such epochs

[[nodiscard]] constexpr std::uint64_t make(std::uint64_t epoch, std::uint64_t count) noexcept {
  return epoch << kEpochShift | count << 1 | kIsCount;
}
/// The cell, or 0 if it holds no count: without a branch, since a sum asks each cell.
[[nodiscard]] constexpr std::uint64_t if_count(std::uint64_t cell) noexcept {
  return cell & (0 - (cell & kIsCount));
}
[[nodiscard]] constexpr std::uint64_t epoch(std::uint64_t cell) noexcept {
  return if_count(cell) >> kEpochShift;
}
[[nodiscard]] constexpr std::uint64_t count(std::uint64_t cell) noexcept {
  return if_count(cell) >> 1 & kMaxCount;
}

}  // namespace ring_cell

inline constexpr std::uint32_t kMaxRingLimit = ring_cell::kMaxCount;

/// @tparam Cell  Word, or const Word for a process that only reads.
template <class Cell>
class BasicWindowRing {
 public:
  /// @param cells  at least two; the more cells, the sooner an admission is forgotten after its window.
  explicit BasicWindowRing(std::span<Cell> cells) noexcept : cells_(cells) { assert(cells.size() >= 2); }

  /// Ticks until a request of `cost` (at least 1) conforms; 0: it does now; kNever: the cost is above the
  /// limit. It is exact for what the ring counts.
  [[nodiscard]] std::uint64_t wait(WindowParams params, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    if (cost > limit_of(params)) return kNever;
    const Epochs epochs = epochs_of(params);
    const Sum sum = sum_at(epochs, now);
    return sum.count + cost <= limit_of(params) ? 0 : passes_in(params, epochs, sum, now, cost);
  }

  /// Counts `cost` admissions if they conform. @return 0 if they were counted; otherwise as wait(), and
  /// nothing stays counted.
  std::uint64_t admit(WindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    if (cost > limit_of(params)) return kNever;
    const Epochs epochs = epochs_of(params);
    Sum sum = sum_at(epochs, now);
    while (sum.count + cost <= limit_of(params)) {
      const std::uint64_t epoch = sum.newest;
      if (add(epochs, now, epoch, cost)) {
        // crash here: the request is counted, whether it would have stayed or not.
        sum = sum_at(epochs, now);
        if (sum.newest == epoch && sum.count <= limit_of(params)) return 0;
        take_back(epoch, cost);
        if (sum.newest == epoch) return std::max(wait(params, now, cost), std::uint64_t{1});
      }
      sum = sum_at(epochs, now);  // another process is in a newer epoch: take the sum there
    }
    return passes_in(params, epochs, sum, now, cost);
  }

  /// Gives back what was counted at `charged_at` (the `now` of that charge), while its cell is there. After a
  /// late clock it may be taken from an epoch before the one that was charged, which refuses for longer.
  void refund(WindowParams params, std::uint64_t /*now*/, std::uint32_t cost,
              std::uint64_t charged_at) noexcept {
    take_back(charged_at / epochs_of(params).width, cost);
  }

  /// Counts requests that have already happened, even above the limit; the count saturates.
  void charge(WindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    const Epochs epochs = epochs_of(params);
    while (!add(epochs, now, sum_at(epochs, now).newest, cost)) {
    }
  }

  /// The highest cost that conforms now.
  [[nodiscard]] std::uint32_t available(WindowParams params, std::uint64_t now) const noexcept {
    const std::uint64_t limit = limit_of(params);
    return static_cast<std::uint32_t>(limit - std::min(limit, sum_at(epochs_of(params), now).count));
  }

  /// Ticks until nothing is counted; 0: the window is at rest.
  [[nodiscard]] std::uint64_t full_in(WindowParams params, std::uint64_t now) const noexcept {
    const Epochs epochs = epochs_of(params);
    const Sum sum = sum_at(epochs, now);
    for (std::uint64_t back = 0; back < epochs.in_window && back <= sum.newest; ++back) {
      if (count_of(sum.newest - back) != 0) return epochs.start(sum.newest - back + epochs.in_window) - now;
    }
    return 0;
  }

  /// Calls visit(key, end, count) for every epoch that counts in the window.
  template <class Visit>
  void for_each_count(WindowParams params, std::uint64_t now, Visit&& visit) const {
    const Epochs epochs = epochs_of(params);
    const Sum sum = sum_at(epochs, now);
    for (std::uint64_t back = 0; back < epochs.in_window && back <= sum.newest; ++back) {
      const std::uint64_t epoch = sum.newest - back;
      visit(epoch, epochs.start(epoch + 1) - 1, static_cast<std::uint32_t>(count_of(epoch)));
    }
  }

  /// Forgets everything that it meets. A request that is being refused meanwhile may then take back what
  /// another request was counted.
  void reset() noexcept {
    for (Word& cell : cells_) {
      std::uint64_t seen = cell.load(std::memory_order_seq_cst);
      while (seen != 0 && !cell.compare_exchange(seen, 0, std::memory_order_seq_cst)) {
      }
    }
  }

 private:
  struct Epochs {
    std::uint64_t width = 0;
    std::uint64_t in_window = 0;  ///< at most as many as there are cells
    std::uint64_t horizon = 0;    ///< how far ahead an epoch may be

    [[nodiscard]] std::uint64_t start(std::uint64_t epoch) const noexcept { return epoch * width; }
  };
  struct Sum {
    std::uint64_t newest = 0;  ///< the epoch of now, or a newer one that already has a count
    std::uint64_t count = 0;   ///< of all epochs in the window that ends with it
  };

  [[nodiscard]] static std::uint32_t limit_of(WindowParams params) noexcept {
    return std::min(params.limit, kMaxRingLimit);
  }

  [[nodiscard]] Epochs epochs_of(WindowParams params) const noexcept {
    const std::uint64_t covered =
        std::clamp<std::uint64_t>(params.length / ring_cell::kMinWidth, 1, cells_.size() - 1);
    const std::uint64_t width = std::max((params.length + covered - 1) / covered, ring_cell::kMinWidth);
    // A window reaches back from anywhere in its last epoch, into as many more epochs as cover its length.
    return {width, (params.length + width - 1) / width + 1, 2 * kMaxDepthTicks / width};
  }

  [[nodiscard]] Cell& cell_of(std::uint64_t epoch) const noexcept { return cells_[epoch % cells_.size()]; }

  [[nodiscard]] std::uint64_t count_of(std::uint64_t epoch) const noexcept {
    const std::uint64_t cell = cell_of(epoch).load(std::memory_order_relaxed);
    return ring_cell::epoch(cell) == epoch ? ring_cell::count(cell) : 0;
  }

  [[nodiscard]] Sum sum_at(const Epochs& epochs, std::uint64_t now) const noexcept {
    const std::uint64_t own = now / epochs.width;
    Sum sum{.newest = own};
    for (;;) {
      std::uint64_t newest = sum.newest;
      sum.count = 0;
      for (const Word& word : cells_) {
        // sync(charge): seq_cst; pairs with the exchange in add(). Only the sum after a charge needs it.
        const std::uint64_t cell = word.load(std::memory_order_seq_cst);
        const std::uint64_t epoch = ring_cell::epoch(cell);
        if (epoch > own && epoch - own > epochs.horizon) continue;
        newest = std::max(newest, epoch);
        // The difference wraps where the epoch is a newer one.
        if (sum.newest - epoch < epochs.in_window) sum.count += ring_cell::count(cell);
      }
      if (newest == sum.newest) return sum;
      sum.newest = newest;  // sum again as of that epoch; damage causes at most one round per cell
    }
  }

  /// Ticks until enough of the oldest epochs are out of the window.
  [[nodiscard]] std::uint64_t passes_in(WindowParams params, const Epochs& epochs, const Sum& sum,
                                        std::uint64_t now, std::uint32_t cost) const noexcept {
    std::uint64_t excess = sum.count + cost - limit_of(params);
    std::uint64_t leaving = sum.newest >= epochs.in_window ? sum.newest - epochs.in_window + 1 : 0;
    for (; leaving < sum.newest; ++leaving) {
      const std::uint64_t gone = count_of(leaving);
      if (gone >= excess) break;
      excess -= gone;
    }
    return epochs.start(leaving + epochs.in_window) - now;
  }

  /// Counts in an epoch, if its cell does not belong to a newer one by now.
  bool add(const Epochs& epochs, std::uint64_t now, std::uint64_t epoch, std::uint32_t cost) noexcept {
    Word& word = cell_of(epoch);
    std::uint64_t cell = word.load(std::memory_order_relaxed);  // the exchange below checks it
    for (;;) {
      const std::uint64_t in_cell = ring_cell::epoch(cell);
      if (in_cell > epoch && in_cell - std::min(in_cell, now / epochs.width) <= epochs.horizon) return false;
      const std::uint64_t before = in_cell == epoch ? ring_cell::count(cell) : 0;
      const std::uint64_t next = ring_cell::make(epoch, std::min(before + cost, ring_cell::kMaxCount));
      if (word.compare_exchange(cell, next, std::memory_order_seq_cst)) return true;  // sync(charge)
    }
  }

  void take_back(std::uint64_t epoch, std::uint32_t cost) noexcept {
    Word& word = cell_of(epoch);
    std::uint64_t cell = word.load(std::memory_order_relaxed);
    // Less than was charged: a reset came in between, and what is counted now belongs to other requests.
    while (ring_cell::epoch(cell) == epoch && ring_cell::count(cell) >= cost) {
      // relaxed: a sum that misses this refuses one request more.
      if (word.compare_exchange(cell, ring_cell::make(epoch, ring_cell::count(cell) - cost),
                                std::memory_order_relaxed))
        return;
    }
  }

  std::span<Cell> cells_;
};
using WindowRing = BasicWindowRing<Word>;

}  // namespace weir::detail

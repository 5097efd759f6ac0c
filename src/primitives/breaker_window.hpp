// SPDX-License-Identifier: Apache-2.0
#pragma once

// The data by which a breaker judges: the calls, failures and slow calls of the recent past, in a ring of ten
// cells.
//
//   cell     generation 12 | epoch 52  +  calls 21 | failures 21 | slow 21    one pair, changed as one
//   latest   the epoch that was begun last: a hint, which saves a division or a search. A process that uses
//            it checks it; a process that begins an epoch updates it.
//
// A cell counts the outcomes of one epoch of one generation of the breaker. The first outcome of a later
// epoch replaces the cell in the same compare-exchange that counts it, so there is no rotation step, and a
// new generation finds the window empty although nobody emptied it.
//
//   time window    an epoch is a tenth of the window: it looks back over nine tenths and the part of the last
//                  tenth that has passed.
//   count window   an epoch is a block of a tenth of the calls, rounded up: it looks back over nine full
//                  blocks and the one that is being filled. With up to ten calls: exactly the last n.
//
// A cell is a pair because a word of 8 bytes would leave 16 bits for generation and epoch: after an idle
// night they could wrap around, and yesterday's failures would count again.
//
// Looking  a rate rises with a failure or a slow call, or when an old cell drops out of the window, and it is
//          judged only from the minimum of calls on. So a report needs no look if it is good, in a cell that
//          has only good calls, and more of them than that minimum: the process that began the cell has
//          looked since other cells dropped out, and the process that reached the minimum has looked because
//          its own cell had no more calls than that.
// Full     a cell with 2,097,151 calls is halved: the rates stay the same.
// Progress lock-free: a lost compare-exchange means that another outcome was counted.
// Ordering the exchange of the pair is sequentially consistent, and so are the loads that look around after
//          it: of two processes that count at the same time, one sees both outcomes.
// Crash    one exchange. Killed before it: not counted. After it: counted, and the next process that reports
//          in this cell, or begins one, judges by it. The hint is out of date: the next process searches.
// Late     an outcome whose cell has moved on to a later epoch of its generation is dropped, however late it
//          is. An epoch further ahead than any policy allows is damage: the cell is started again.

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/word.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

struct BreakerCounts {
  std::uint32_t calls = 0;
  std::uint32_t failures = 0;
  std::uint32_t slow = 0;

  friend bool operator==(const BreakerCounts&, const BreakerCounts&) = default;
};

/// How a window is cut into epochs.
struct BreakerEpochs {
  std::uint64_t ticks = 0;  ///< of an epoch; 0: a count window
  std::uint32_t block = 0;  ///< calls in an epoch
  std::uint32_t calls = 0;  ///< size of a count window

  /// Epochs in the window.
  [[nodiscard]] constexpr std::uint32_t in_window() const noexcept;
  /// The cell of an epoch. If a block is one call, only as many cells as blocks are in use, otherwise all of
  /// them.
  [[nodiscard]] constexpr std::uint64_t cell(std::uint64_t epoch) const noexcept;
  [[nodiscard]] constexpr std::uint32_t cells() const noexcept;
};

class BreakerWindow {
 public:
  static constexpr std::uint32_t kCells = 10;
  static constexpr std::uint32_t kFull = (1U << 21) - 1;

  [[nodiscard]] static constexpr BreakerEpochs by_time(std::uint64_t window) noexcept {
    // At least 32 ns, so that the number of an epoch fits its field for as long as a segment serves.
    return {std::max(window / kCells + (window % kCells != 0 ? 1 : 0), std::uint64_t{1} << 12), 0, kCells};
  }
  [[nodiscard]] static constexpr BreakerEpochs by_calls(std::uint32_t calls) noexcept {
    const std::uint32_t block = calls / kCells + (calls % kCells != 0 ? 1 : 0);
    return {0, std::max(block, 1U), std::max(calls, 1U)};
  }

  /// The mark of an epoch in its cell: tags of one generation differ as their epochs do.
  [[nodiscard]] static std::uint64_t tag(std::uint64_t generation, std::uint64_t epoch) noexcept {
    return generation << kEpochBits | (epoch & kEpochMask);
  }
  /// Time window: whether a cell belongs to a later epoch of this generation that a clock could really have
  /// reached.
  [[nodiscard]] static bool passed(BreakerEpochs epochs, std::uint64_t seen, std::uint64_t ours) noexcept {
    const bool same_generation = seen >> kEpochBits == ours >> kEpochBits;
    return same_generation && seen > ours && seen - ours <= 2 * kMaxDepthTicks / epochs.ticks;
  }

  /// Adds an outcome, unless `current()`, which is called after the cell was read, says that `generation` is
  /// over.
  /// @return whether to look at the counts. If no call in this cell is bad, and it has more than `minimum` of
  /// them, the counts say no more than before.
  template <class Current>
  bool count(BreakerEpochs epochs, std::uint64_t generation, std::uint64_t now, bool failure, bool slow,
             std::uint32_t minimum, Current&& current) noexcept {
    // Try once with the hint, then search: what the hint leads to need not be what we wrote.
    for (std::uint64_t hint = latest_.load(std::memory_order_relaxed);; hint = kLastBlock) {
      const std::uint64_t epoch = epochs.ticks != 0 ? at(epochs, now) : filling(epochs, generation, hint);
      const std::uint64_t ours = tag(generation, epoch);
      PairWord& cell = cells_[epochs.cell(epoch)];
      // sync(breaker): acquire; pairs with the exchange below. A process that meets a cell of a later
      // generation then also meets that generation in current(), and leaves the cell alone.
      Pair seen{cell.load_first(std::memory_order_acquire), cell.load_second(std::memory_order_acquire)};
      std::uint64_t counts = seen.second;
      if (seen.first == ours) {
        // The block was filled meanwhile: filling() sees that.
        if (epochs.ticks == 0 && calls(counts) >= epochs.block && epoch < kLastBlock) continue;
      } else {
        // The cell moved on meanwhile. In a time window a late outcome is dropped; in a count window the call
        // belongs to the block that is being filled now.
        if (epochs.ticks != 0 && passed(epochs, seen.first, ours)) return false;
        if (epochs.ticks == 0 && block_of(seen.first, generation) > epoch &&
            block_of(seen.first, generation) < kLastBlock) {
          continue;
        }
        counts = 0;
      }
      if (!current()) return false;
      counts = with(counts, failure, slow);
      const bool begins = seen.first != ours;
      if (!cell.compare_exchange(seen, {ours, counts})) continue;
      // crash here: the hint is out of date. relaxed: it only says where to look.
      if (begins) latest_.store(epoch, std::memory_order_relaxed);
      return calls(counts) <= std::max(minimum, 1U) || counts > kFull;
    }
  }

  /// What the window holds at `now`. It only loads.
  [[nodiscard]] BreakerCounts counts(BreakerEpochs epochs, std::uint64_t generation,
                                     std::uint64_t now) const noexcept {
    const std::uint64_t latest = latest_.load(std::memory_order_relaxed);
    std::uint64_t last =
        tag(generation, epochs.ticks != 0 ? at(epochs, now) : newest(epochs, generation, latest));
    const std::uint32_t in_window = epochs.in_window();
    for (;;) {
      BreakerCounts sum;
      std::uint64_t ahead = last;
      for (std::uint32_t i = 0; i < epochs.cells(); ++i) {
        const PairWord& cell = cells_[i];
        const std::uint64_t first = cell.load_first(std::memory_order_seq_cst);
        if (first - last <= kCells) ahead = std::max(ahead, first);
        if (last - first >= in_window) continue;  // older, ahead, or of another generation: it wraps
        const std::uint64_t counts = cell.load_second(std::memory_order_seq_cst);
        // The halves are of two epochs: another process is replacing the cell, and judges after us. Tags
        // never return.
        if (cell.load_first(std::memory_order_seq_cst) != first) continue;
        sum.calls += calls(counts);
        sum.failures += field(counts, kFailuresShift);
        sum.slow += field(counts, kSlowShift);
      }
      if (ahead == last) return sum;
      // Other processes are ahead of us, so the window ends with their epoch. Of two processes that report at
      // the border of two epochs, one must see both outcomes.
      last = ahead;
    }
  }

 private:
  static constexpr unsigned kEpochBits = 52;
  static constexpr std::uint64_t kEpochMask = (std::uint64_t{1} << kEpochBits) - 1;
  static constexpr std::uint64_t kLastBlock = std::uint64_t{1} << 48;  // anything from here on is damage
  static constexpr unsigned kFailuresShift = 21;
  static constexpr unsigned kSlowShift = 42;

  [[nodiscard]] static std::uint32_t field(std::uint64_t counts, unsigned shift) noexcept {
    return static_cast<std::uint32_t>(counts >> shift) & kFull;
  }
  [[nodiscard]] static std::uint32_t calls(std::uint64_t counts) noexcept { return field(counts, 0); }

  /// The counts with one more outcome.
  [[nodiscard]] static std::uint64_t with(std::uint64_t counts, bool failure, bool slow) noexcept {
    constexpr std::uint64_t ones = 1 | std::uint64_t{1} << kFailuresShift | std::uint64_t{1} << kSlowShift;
    // Check all three: what lies in the segment need not be what we wrote.
    if (std::max({calls(counts), field(counts, kFailuresShift), field(counts, kSlowShift)}) == kFull) {
      counts = counts >> 1 & (kFull >> 1) * ones;
    }
    counts += 1;
    counts += std::uint64_t{failure} << kFailuresShift;
    return counts + (std::uint64_t{slow} << kSlowShift);
  }

  /// Count window: the block in a cell of this generation. From kLastBlock on, it is of another generation or
  /// damaged.
  [[nodiscard]] static std::uint64_t block_of(std::uint64_t first, std::uint64_t generation) noexcept {
    return first - tag(generation, 0);
  }

  /// Time window: the epoch that `now` lies in.
  [[nodiscard]] std::uint64_t at(BreakerEpochs epochs, std::uint64_t now) const noexcept {
    const std::uint64_t latest = latest_.load(std::memory_order_relaxed);
    std::uint64_t start = 0;
    const bool absurd = __builtin_mul_overflow(latest, epochs.ticks, &start);
    return !absurd && start <= now && now - start < epochs.ticks ? latest : now / epochs.ticks;
  }

  /// Count window: whether a block was begun, and no later block has taken its cell.
  [[nodiscard]] bool begun(BreakerEpochs epochs, std::uint64_t block,
                           std::uint64_t generation) const noexcept {
    return block < kLastBlock &&
           cells_[epochs.cell(block)].load_first(std::memory_order_seq_cst) == tag(generation, block);
  }

  /// Count window: the last block that was begun.
  [[nodiscard]] std::uint64_t newest(BreakerEpochs epochs, std::uint64_t generation,
                                     std::uint64_t hint) const noexcept {
    std::uint64_t newest = hint;
    if (!begun(epochs, newest, generation)) {
      newest = 0;
      for (std::uint32_t i = 0; i < epochs.cells(); ++i) {
        const std::uint64_t block = block_of(cells_[i].load_first(std::memory_order_seq_cst), generation);
        if (block < kLastBlock) newest = std::max(newest, block);
      }
    }
    while (begun(epochs, newest + 1, generation)) ++newest;  // blocks are begun in order
    return newest;
  }

  /// Count window: the block to which the next call belongs.
  [[nodiscard]] std::uint64_t filling(BreakerEpochs epochs, std::uint64_t generation,
                                      std::uint64_t hint) const noexcept {
    const std::uint64_t last = newest(epochs, generation, hint);
    const PairWord& cell = cells_[epochs.cell(last)];
    const bool begun = cell.load_first(std::memory_order_acquire) == tag(generation, last);
    return begun && calls(cell.load_second(std::memory_order_acquire)) >= epochs.block ? last + 1 : last;
  }

  std::array<PairWord, kCells> cells_;
  Word latest_;
};
static_assert(sizeof(BreakerWindow) == 176);

constexpr std::uint32_t BreakerEpochs::in_window() const noexcept {
  return ticks != 0 ? BreakerWindow::kCells : (calls - 1) / block + 1;
}
constexpr std::uint32_t BreakerEpochs::cells() const noexcept {
  return block == 1 ? calls : BreakerWindow::kCells;
}
constexpr std::uint64_t BreakerEpochs::cell(std::uint64_t epoch) const noexcept {
  return block == 1 ? epoch % calls : epoch % BreakerWindow::kCells;  // this avoids a division by a variable
}

}  // namespace weir::detail

#pragma once

// What a breaker judges by: the calls, failures and slow calls of the last while, in a ring of ten cells.
//
//   cell   generation 12 | epoch 52  +  calls 21 | failures 21 | slow 21      one pair, changed as one
//
// A cell counts the outcomes of one epoch of one generation of the breaker. The first outcome of a later
// epoch replaces the cell in the same compare-exchange that counts it, so there is no rotation, and a new
// generation finds the window empty without anybody emptying it.
//
//   time window    an epoch is a tenth of the window: it looks back over nine tenths and what has passed of
//                  the last.
//   count window   an epoch is a block of a tenth of the calls, rounded up: it looks back over nine full
//   blocks
//                  and the one that is filling. Up to ten calls: exactly the last n.
//
// A pair, because a word of 8 bytes would leave 16 bits to generation and epoch: after an idle night they
// could come round, and yesterday's failures would count again.
//
// Full     a cell with 2,097,151 calls is halved: the rates stay.
// Progress lock-free: a lost compare-exchange means another outcome was counted.
// Ordering the pair's exchange is sequentially consistent and the loads that look around after it are too: of
//          two who count at once, one sees both.
// Crash    one exchange. Before it: not counted. After it: counted, and the next who reports judges by it.
// Late     an outcome whose cell has gone on to a later epoch is dropped. One that is late by more than a
// whole
//          window looks like damage: it starts the cell afresh, and costs a tenth of the counts.

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/word.hpp"

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
  std::uint32_t block = 0;  ///< calls of an epoch
  std::uint32_t cells = 0;  ///< in use
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
    return {0, std::max(block, 1U), block == 0 ? 1 : (calls - 1) / block + 1};
  }

  /// Adds an outcome, unless `current()`, asked after the cell was looked at, says that `generation` is over.
  template <class Current>
  void count(BreakerEpochs epochs, std::uint64_t generation, std::uint64_t now, bool failure, bool slow,
             Current&& current) noexcept {
    for (;;) {
      const std::uint64_t epoch = epochs.ticks != 0 ? now / epochs.ticks : filling(epochs, generation);
      PairWord& word = cells_[epoch % epochs.cells];
      // sync(breaker): acquire; pairs with the exchange below. Who meets a cell of a later generation then
      // also meets that generation in current(), and leaves the cell alone.
      Pair seen{word.load_first(std::memory_order_acquire), word.load_second(std::memory_order_acquire)};
      Cell cell = unpack(seen);
      if (cell.generation != generation || cell.epoch != epoch) {
        const bool passed = cell.generation == generation && cell.epoch > epoch;
        if (passed && epochs.ticks != 0 && cell.epoch - epoch <= kCells) return;
        cell = {generation, epoch, {}};
      } else if (epochs.ticks == 0 && cell.counts.calls >= epochs.block && epoch < kLastBlock) {
        continue;  // it filled up meanwhile, and filling() sees that
      }
      if (!current()) return;
      if (word.compare_exchange(seen, pack(cell, failure, slow))) return;
    }
  }

  /// What the window holds at `now`. Only loads.
  [[nodiscard]] BreakerCounts counts(BreakerEpochs epochs, std::uint64_t generation,
                                     std::uint64_t now) const noexcept {
    const Cells cells = read(epochs);
    const std::uint64_t last =
        epochs.ticks != 0 ? latest(cells, generation, now / epochs.ticks) : newest(cells, epochs, generation);
    BreakerCounts sum;
    for (std::uint32_t i = 0; i < epochs.cells; ++i) {
      const Cell& cell = cells[i];
      if (cell.generation != generation || last - cell.epoch >= epochs.cells)
        continue;  // wraps if it is ahead
      sum.calls += cell.counts.calls;
      sum.failures += cell.counts.failures;
      sum.slow += cell.counts.slow;
    }
    return sum;
  }

 private:
  struct Cell {
    std::uint64_t generation = kNoGeneration;
    std::uint64_t epoch = 0;
    BreakerCounts counts;
  };
  using Cells = std::array<Cell, kCells>;

  static constexpr std::uint64_t kNoGeneration = ~std::uint64_t{0};
  static constexpr unsigned kEpochBits = 52;
  static constexpr std::uint64_t kEpochMask = (std::uint64_t{1} << kEpochBits) - 1;
  static constexpr std::uint64_t kLastBlock = std::uint64_t{1} << 48;  // from there on: damage
  static constexpr unsigned kFailuresShift = 21;
  static constexpr unsigned kSlowShift = 42;

  [[nodiscard]] static Cell unpack(Pair pair) noexcept {
    const auto field = [&](unsigned shift) {
      return static_cast<std::uint32_t>(pair.second >> shift) & kFull;
    };
    return {pair.first >> kEpochBits,
            pair.first & kEpochMask,
            {field(0), field(kFailuresShift), field(kSlowShift)}};
  }

  /// The cell with one more outcome.
  [[nodiscard]] static Pair pack(Cell cell, bool failure, bool slow) noexcept {
    BreakerCounts& counts = cell.counts;
    // Any of the three: what lies in the segment need not be what we wrote.
    if (std::max({counts.calls, counts.failures, counts.slow}) == kFull) {
      counts = {counts.calls / 2, counts.failures / 2, counts.slow / 2};
    }
    const auto field = [](std::uint32_t count, bool more, unsigned shift) {
      return (std::uint64_t{count} + (more ? 1 : 0)) << shift;
    };
    return {cell.generation << kEpochBits | (cell.epoch & kEpochMask),
            field(counts.calls, true, 0) | field(counts.failures, failure, kFailuresShift) |
                field(counts.slow, slow, kSlowShift)};
  }

  [[nodiscard]] Cells read(BreakerEpochs epochs) const noexcept {
    Cells cells;
    for (std::uint32_t i = 0; i < epochs.cells; ++i) {
      const std::uint64_t first = cells_[i].load_first(std::memory_order_seq_cst);
      const std::uint64_t second = cells_[i].load_second(std::memory_order_seq_cst);
      // Halves of two epochs: somebody replaces the cell right now, and will judge after us. Tags never
      // return.
      if (cells_[i].load_first(std::memory_order_seq_cst) == first) cells[i] = unpack({first, second});
    }
    return cells;
  }

  /// Time window: the epoch it ends with. Later than ours where others are ahead of our `now`: of two who
  /// report at the border of two epochs, one must see both.
  [[nodiscard]] static std::uint64_t latest(const Cells& cells, std::uint64_t generation,
                                            std::uint64_t epoch) noexcept {
    std::uint64_t latest = epoch;
    for (const Cell& cell : cells) {
      const bool ahead = cell.generation == generation && cell.epoch > epoch;
      if (ahead && cell.epoch - epoch <= kCells) latest = std::max(latest, cell.epoch);
    }
    return latest;
  }

  /// Count window: the epoch of the last block that was begun.
  [[nodiscard]] static std::uint64_t newest(const Cells& cells, BreakerEpochs epochs,
                                            std::uint64_t generation) noexcept {
    std::uint64_t newest = 0;
    for (std::uint32_t i = 0; i < epochs.cells; ++i) {
      const bool ours = cells[i].generation == generation && cells[i].epoch % epochs.cells == i;
      if (ours && cells[i].epoch < kLastBlock) newest = std::max(newest, cells[i].epoch);
    }
    return newest;
  }

  /// Count window: the epoch of the block that the next call belongs to.
  [[nodiscard]] std::uint64_t filling(BreakerEpochs epochs, std::uint64_t generation) const noexcept {
    const Cells cells = read(epochs);
    const std::uint64_t last = newest(cells, epochs, generation);
    const Cell& cell = cells[last % epochs.cells];
    const bool full =
        cell.generation == generation && cell.epoch == last && cell.counts.calls >= epochs.block;
    return full ? last + 1 : last;
  }

  std::array<PairWord, kCells> cells_;
};
static_assert(sizeof(BreakerWindow) == 160);

}  // namespace weir::detail

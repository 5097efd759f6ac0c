// SPDX-License-Identifier: Apache-2.0
#pragma once

// A concurrency limit: as many cells as permits, each of them free or owned.
//
// Taking a permit is one compare-exchange 0 -> {owner, next, since} of a free cell, which also records its
// owner, so a permit is never taken without an owner. Giving it back is one compare-exchange of exactly that
// word to 0. No counter is kept; the permits in use are counted by looking at the
// cells. (A count beside a ledger cannot be made exact under kills: LIPIcs.OPODIS.2021.29.)
//
//   cell   owner 20 | next 16 | since 28      0: free
//     owner  the worker that holds it, so that a sweeper can return the permits of dead workers
//     next   the next cell of a permit of weight > 1, plus 1; 0: this is the last
//     since  when it was taken, in units of 67 ms (wraps after 208 days; for people only)
//
// Limits   only the first `limit` cells may be taken: a limit is a prefix, a priority class a shorter prefix.
//          A limit that is lowered below the cells in use is enforced strictly: see prefix().
// Progress lock-free; a scan that meets no free cell writes nothing.
// Ordering sync(permit): taking acquires and giving back releases, so the next holder sees what the last one
//          wrote.
//          sync(owner): taking releases and reclaiming acquires, so a sweeper that meets a permit also meets
//          the slot that its owner published before it took the permit, and does not judge a living worker as
//          gone.
// Crash    before the exchange: nothing is taken. After it: the cell names the dead worker, and reclaim()
//          frees it. A permit of several cells is a chain; each cell is reclaimed on its own.
// Late     giving back a permit that was reclaimed meets another word and changes nothing.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "base/owner.hpp"
#include "base/word.hpp"

namespace weir::detail {

inline constexpr std::uint32_t kMaxPermits = 65'535;

/// A permit that is held: which cell it is in, and the word in that cell. 0: none.
struct Permit {
  std::uint64_t word = 0;
  std::uint32_t cell = 0;

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

namespace permit_word {

inline constexpr unsigned kOwnerShift = 44;
inline constexpr unsigned kNextShift = 28;
inline constexpr std::uint64_t kSinceMask = (std::uint64_t{1} << kNextShift) - 1;
inline constexpr unsigned kSinceShift = 33;  // 2^33 ticks = 2^26 ns = 67 ms

[[nodiscard]] constexpr std::uint64_t make(Owner owner, std::uint32_t next, std::uint64_t now) noexcept {
  return owner.bits() << kOwnerShift | std::uint64_t{next} << kNextShift |
         ((now >> kSinceShift) & kSinceMask);
}
[[nodiscard]] constexpr Owner owner(std::uint64_t word) noexcept {
  return Owner::from_bits(word >> kOwnerShift);
}
[[nodiscard]] constexpr std::uint32_t next(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word >> kNextShift) & 0xffff;
}
/// The bits that say which cell is next, where they lie.
[[nodiscard]] constexpr std::uint64_t next_bits(std::uint64_t word) noexcept {
  return word & std::uint64_t{0xffff} << kNextShift;
}
/// Ticks since the permit was taken. It is 0 for a permit that was taken after `now` was read: an age in the
/// last hours of the 208 days that the field counts is taken for such a permit, not for a very old one.
[[nodiscard]] constexpr std::uint64_t age(std::uint64_t word, std::uint64_t now) noexcept {
  constexpr std::uint64_t kLate = kSinceMask >> 8;
  const std::uint64_t units = ((now >> kSinceShift) - word) & kSinceMask;
  return units > kSinceMask - kLate ? 0 : units << kSinceShift;
}

}  // namespace permit_word

/// Where each of several processes looks first: in cache lines of their own while there are enough of them, and then in
/// cells of their own. (A remainder without a division: D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct
/// computation", 2019.)
class FirstLook {
 public:
  constexpr FirstLook() = default;
  /// @param limit  0 is taken for 1.
  constexpr explicit FirstLook(std::uint32_t limit) noexcept
      : line_(kWhole / std::max<std::uint64_t>((limit + kCellsInLine - 1) / kCellsInLine, 1) + 1) {}

  /// The hint of the n-th process. A hint is a fraction of the cells.
  [[nodiscard]] constexpr std::uint32_t hint(std::uint32_t n) const noexcept {
    const std::uint64_t lines = n * line_;  // round after round through all lines
    const std::uint64_t cell = lines >> 32 & (kCellsInLine - 1);
    return static_cast<std::uint32_t>(lines + cell * (line_ / kCellsInLine));
  }
  /// The cell that a hint means.
  [[nodiscard]] static constexpr std::uint32_t cell(std::uint32_t hint, std::uint32_t usable) noexcept {
    const std::uint64_t in_lines = (usable + kCellsInLine - 1) & ~(kCellsInLine - 1);
    const auto cell = static_cast<std::uint32_t>(hint * in_lines >> 32);
    return cell < usable ? cell : cell & ~(kCellsInLine - 1);
  }

  friend constexpr bool operator==(FirstLook, FirstLook) = default;

 private:
  static constexpr std::uint64_t kWhole = std::uint64_t{1} << 32;
  static constexpr std::uint32_t kCellsInLine = kCacheLine / sizeof(std::uint64_t);

  std::uint64_t line_ = kWhole;  // the part of all cells that is one line, in 2^-32
};

/// @tparam Cell  Word, or const Word for a process that only reads.
template <class Cell>
class BasicPermits {
 public:
  BasicPermits() = default;
  explicit BasicPermits(std::span<Cell> cells) noexcept : cells_(cells) {}

  /// Takes a permit of `weight` cells among the first `limit`. It looks first at the cell that `hint`
  /// selects: see FirstLook.
  /// @return none if there are not enough free cells; cells that were taken on the way are given back.
  /// Cost  one pass over the cells, whatever the weight: a cell that becomes free behind it is missed.
  [[nodiscard]] Permit take(Owner owner, std::uint32_t limit, std::uint32_t weight, std::uint32_t hint,
                            std::uint64_t now) noexcept {
    const std::uint32_t usable = prefix(limit);
    const std::uint32_t start = FirstLook::cell(hint, usable);
    Permit permit;
    std::uint32_t taken = 0;
    for (std::uint32_t i = 0; i < usable && taken < weight; ++i) {
      const std::uint32_t cell = wrapped(start + i, usable);
      if (cells_[cell].load(std::memory_order_relaxed) != 0) continue;
      // crash here: the cells taken so far name the dead worker.
      const std::uint64_t word = permit_word::make(owner, permit ? permit.cell + 1 : 0, now);
      if (!claim(cell, word)) continue;
      permit = {word, cell};
      ++taken;
    }
    if (taken == weight) return permit;
    (void)give_back(permit);
    return {};
  }

  /// A free cell among the first `limit`, for take_at(); nothing if there is none. It only loads.
  [[nodiscard]] std::optional<std::uint32_t> find_free(std::uint32_t limit,
                                                       std::uint32_t hint) const noexcept {
    return first_free(prefix(limit), hint);
  }

  /// Takes a permit of weight 1 in a cell that find_free() found; prefix() says why the cell may still be
  /// taken.
  /// @return false: another caller was faster.
  [[nodiscard]] bool take_at(Owner owner, std::uint32_t cell, std::uint64_t now) noexcept {
    return claim(cell, permit_word::make(owner, 0, now));
  }

  /// @return the number of cells freed: 0 if the permit had been reclaimed.
  std::uint32_t give_back(Permit permit) noexcept {
    std::uint32_t freed = 0;
    const Owner owner = permit_word::owner(permit.word);
    // A chain cannot be longer than the cells, whatever the words say; only cells of the same owner are
    // followed.
    for (std::size_t step = 0; permit && permit.cell < cells_.size() && step < cells_.size(); ++step) {
      std::uint64_t seen = permit.word;
      if (!cells_[permit.cell].compare_exchange(seen, 0, std::memory_order_release)) break;  // sync(permit)
      // crash here: the rest of the chain names the dead worker, and is reclaimed.
      ++freed;
      permit = follow(permit, owner);
    }
    return freed;
  }

  /// Gives back a permit of one cell. @return whether it was still there.
  static bool give_back(Word& cell, std::uint64_t word) noexcept {
    return cell.compare_exchange(word, 0, std::memory_order_release);  // sync(permit)
  }

  /// Whether a permit of `weight` could be taken now. It only loads.
  [[nodiscard]] bool available(std::uint32_t limit, std::uint32_t weight, std::uint32_t hint) const noexcept {
    const std::uint32_t usable = prefix(limit);
    const std::uint32_t start = FirstLook::cell(hint, usable);
    std::uint32_t free = 0;
    for (std::uint32_t i = 0; i < usable && free < weight; ++i) {
      free += cells_[wrapped(start + i, usable)].load(std::memory_order_relaxed) == 0 ? 1 : 0;
    }
    return free >= weight;
  }

  /// Permits in use now. It only loads; the number is exact if no permit is taken or given back meanwhile.
  [[nodiscard]] std::uint32_t in_use() const noexcept { return occupied(0, size()); }

  /// Frees every cell whose owner is gone. @return how many were freed.
  template <class Gone>
  std::uint32_t reclaim(Gone&& gone) noexcept {
    std::uint32_t freed = 0;
    for (Word& cell : cells_) {
      std::uint64_t seen = cell.load(std::memory_order_acquire);  // sync(owner): pairs with claim()
      if (seen == 0 || !gone(permit_word::owner(seen))) continue;
      // Exchange exactly the word that was judged: a cell that was taken again meanwhile stays with its new
      // owner.
      // sync(permit): release; this process knows that the owner is dead, and passes on what the owner wrote
      // before it died.
      freed += cell.compare_exchange(seen, 0, std::memory_order_release) ? 1 : 0;
    }
    return freed;
  }

  /// Calls visit(word) for every owned cell. It only loads.
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (const Word& cell : cells_) {
      if (const std::uint64_t word = cell.load(std::memory_order_relaxed); word != 0) visit(word);
    }
  }

  /// The number of the first of them among the cells of a section.
  [[nodiscard]] std::uint32_t first_in(std::span<const Word> section) const noexcept {
    return cells_.empty() ? 0 : static_cast<std::uint32_t>(cells_.data() - section.data());
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(cells_.size()); }

  /// Whether both are over the same cells.
  friend bool operator==(const BasicPermits& a, const BasicPermits& b) noexcept {
    return a.cells_.data() == b.cells_.data() && a.cells_.size() == b.cells_.size();
  }

 private:
  /// How many cells from the front may be taken so that no more than `limit` are in use, including the cells
  /// beyond.
  ///
  /// It is the largest k with k + (cells in use beyond k) <= limit. Every caller takes a cell below some such
  /// k, so the cells beyond it only drain and k only grows: no two callers can exceed the limit together.
  [[nodiscard]] std::uint32_t prefix(std::uint32_t limit) const noexcept {
    if (limit >= size()) return size();
    std::uint32_t beyond = occupied(limit, size());
    std::uint32_t usable = limit;
    while (usable > 0 && usable + beyond > limit) {
      --usable;
      beyond += cells_[usable].load(std::memory_order_relaxed) != 0 ? 1 : 0;
    }
    return usable;
  }

  [[nodiscard]] std::uint32_t occupied(std::uint32_t from, std::uint32_t to) const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t i = from; i < to; ++i) count += cells_[i].load(std::memory_order_relaxed) != 0 ? 1 : 0;
    return count;
  }

  [[nodiscard]] static std::uint32_t wrapped(std::uint32_t i, std::uint32_t usable) noexcept {
    return i < usable ? i : i - usable;
  }

  [[nodiscard]] std::optional<std::uint32_t> first_free(std::uint32_t usable,
                                                        std::uint32_t hint) const noexcept {
    const std::uint32_t start = FirstLook::cell(hint, usable);
    for (std::uint32_t cell = start; cell < usable; ++cell) {
      if (cells_[cell].load(std::memory_order_relaxed) == 0) return cell;
    }
    for (std::uint32_t cell = 0; cell < start; ++cell) {
      if (cells_[cell].load(std::memory_order_relaxed) == 0) return cell;
    }
    return std::nullopt;
  }

  [[nodiscard]] bool claim(std::uint32_t cell, std::uint64_t word) noexcept {
    std::uint64_t free = 0;
    // sync(permit): acquire; pairs with give_back(). sync(owner): release; pairs with reclaim().
    return cells_[cell].compare_exchange(free, word, std::memory_order_acq_rel);
  }

  /// The rest of a chain whose first cell has been freed.
  [[nodiscard]] Permit follow(Permit permit, Owner owner) const noexcept {
    const std::uint32_t next = permit_word::next(permit.word);
    if (next == 0 || next > size()) return {};
    const std::uint64_t word = cells_[next - 1].load(std::memory_order_relaxed);
    return permit_word::owner(word) == owner ? Permit{word, next - 1} : Permit{};
  }

  std::span<Cell> cells_;
};
using Permits = BasicPermits<Word>;
using PermitsView = BasicPermits<const Word>;

}  // namespace weir::detail

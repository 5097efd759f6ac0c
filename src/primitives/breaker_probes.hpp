// SPDX-License-Identifier: Apache-2.0
#pragma once

// The probes of a half-open circuit breaker: one owned cell each. breaker.hpp uses it.
//
//   cell   owner 20 | deadline 44     0: free, as is a cell whose deadline has passed
//
// A probe takes a cell first; then its process reads the state of the breaker again, which must still be half-open.
// The cell does not hold a generation: a probe of the last half-open time that is still out keeps its cell, so
// that never more than `probes` are out. This holds after a live change to fewer probes, too: the higher cells
// count until their probes come back.
//
// Lost     the probe of a killed process is reclaimed. A probe whose process is stopped, or forgets it, loses its
//          cell at the deadline, and what it reports after that is ignored.
// Progress lock-free: a lost compare-exchange means that another probe took the cell, or that it was freed.
// Ordering sync(probe): giving a probe back releases and looking for a free cell acquires, so a call that
//          finds the cell of a bad probe free also meets the state into which that probe tripped.
//          sync(probes): taking a probe, the look at the state after it, every transition of the state and the
//          look at the cells above in fits() are sequentially consistent. So of two probes, one taken under a
//          higher number of probes and one under the lower number of a later generation, one sees the other.
// Crash    after taking the cell: it names the dead worker.
// Damage   a deadline further ahead than any policy allows is treated as passed.

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>

#include "base/owner.hpp"
#include "base/word.hpp"
#include "primitives/breaker_phase.hpp"

namespace weir::detail {

class BreakerProbes {
 public:
  /// A cell that was taken, or when there will be one.
  struct Taken {
    std::uint64_t wait = 0;  ///< ticks until a cell will be free; 0: this one was taken
    std::uint64_t word = 0;  ///< what is in it
    std::uint8_t cell = 0;
  };

  /// Takes a cell. @param owner  names a worker: a cell without an owner is free.
  [[nodiscard]] Taken take(const BreakerParams& params, std::uint64_t now, Owner owner) noexcept {
    assert(owner);
    const std::uint64_t mine =
        owner.bits() << BreakerPhase::kRestBits |
        breaker_time::deadline(now, std::clamp(params.probe_timeout, std::uint64_t{1}, kMaxBreakerTicks));
    for (std::uint32_t i = 0; i < allowed(params); ++i) {
      std::uint64_t seen = cells_[i].load(std::memory_order_acquire);  // sync(probe): pairs with give_back()
      while (held(seen, now) == 0 && fits(params, i, now)) {
        // sync(probes): seq_cst; pairs with fits(). A failure acquires as the load above does.
        if (!cells_[i].compare_exchange(seen, mine, std::memory_order_seq_cst, std::memory_order_acquire)) {
          continue;
        }
        return {0, mine, static_cast<std::uint8_t>(i)};
      }
    }
    return {std::max(wait(params, now), std::uint64_t{1}), 0, 0};  // free by now: leave it to the next call
  }

  /// Ticks until fewer than `probes` are out, including those that were let out under a higher number; 0:
  /// now.
  [[nodiscard]] std::uint64_t wait(const BreakerParams& params, std::uint64_t now) const noexcept {
    std::array<std::uint64_t, kMaxProbes> out{};  // when each of them loses its cell
    std::uint32_t count = 0;
    for (const Word& cell : cells_) {
      if (const std::uint64_t left = held(cell.load(std::memory_order_relaxed), now); left != 0)
        out[count++] = left;
    }
    if (count < allowed(params)) return 0;
    const auto due = out.begin() + (count - allowed(params));
    std::nth_element(out.begin(), due, out.begin() + count);
    return *due;
  }

  /// Whether a probe still has the cell that it took. A probe whose deadline has passed has not, whether its cell was
  /// taken again or not.
  [[nodiscard]] bool has(std::uint8_t cell, std::uint64_t word, std::uint64_t now) const noexcept {
    return held(word, now) != 0 && cells_[cell % kMaxProbes].load(std::memory_order_acquire) == word;
  }

  /// Frees the cell of a probe. A late probe meets another word in its cell, and changes nothing.
  void give_back(std::uint8_t cell, std::uint64_t word) noexcept {
    // sync(probe): release; pairs with take(), whose process then sees what this probe did to the state.
    (void)cells_[cell % kMaxProbes].compare_exchange(word, 0, std::memory_order_release);
  }

  /// Frees the probes of owners that are gone. @return how many were freed.
  template <class Gone>
  std::uint32_t reclaim(Gone&& gone) noexcept {
    std::uint32_t freed = 0;
    for (Word& cell : cells_) {
      // acquire; pairs with take(): the slot that the probe's process published before it is seen, too.
      std::uint64_t seen = cell.load(std::memory_order_acquire);
      if (!prober(seen) || !gone(prober(seen))) continue;
      // Exchange exactly the word that was judged: a cell that was taken again meanwhile stays with its new
      // owner.
      // sync(probe): release; this process knows that the probe's process is dead, and passes on what the
      // probe did to the state.
      freed += cell.compare_exchange(seen, 0, std::memory_order_release) ? 1 : 0;
    }
    return freed;
  }

  /// How many are out. Meant for people.
  [[nodiscard]] std::uint32_t out(std::uint64_t now) const noexcept {
    std::uint32_t out = 0;
    for (const Word& cell : cells_) out += held(cell.load(std::memory_order_relaxed), now) != 0 ? 1 : 0;
    return out;
  }

 private:
  [[nodiscard]] static Owner prober(std::uint64_t cell) noexcept {
    return Owner::from_bits(cell >> BreakerPhase::kRestBits);
  }
  /// Ticks for which a probe still owns its cell; 0: the cell is free.
  [[nodiscard]] static std::uint64_t held(std::uint64_t cell, std::uint64_t now) noexcept {
    return prober(cell) ? breaker_time::left(cell & BreakerPhase::kRestMask, now) : 0;
  }
  [[nodiscard]] static std::uint32_t allowed(const BreakerParams& params) noexcept {
    return std::clamp(params.probes, 1U, kMaxProbes);
  }

  /// Whether cell `i` may be taken: the probe in it and those that are out above it must fit in the cells
  /// from `i` on. Consider the highest of all probes that were let out under these parameters: those that
  /// were out above it can only come back, and there are `i` cells below it. So no more than `probes` are
  /// out, whichever cells are taken at once.
  [[nodiscard]] bool fits(const BreakerParams& params, std::uint32_t i, std::uint64_t now) const noexcept {
    std::uint32_t above = 0;
    for (std::uint32_t j = i + 1; j < kMaxProbes; ++j) {
      // sync(probes): seq_cst; pairs with take(), whose process looks at the state after its exchange.
      above += held(cells_[j].load(std::memory_order_seq_cst), now) != 0 ? 1 : 0;
    }
    return i + above < allowed(params);
  }

  std::array<Word, kMaxProbes> cells_;
};

}  // namespace weir::detail

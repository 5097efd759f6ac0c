// SPDX-License-Identifier: Apache-2.0
#pragma once

// The plans that this process keeps, each compiled when it is first needed.
//
// A plan is valid for one turn of the limits (Control::turn), which every live change moves. A request compares
// the turn of its plan with that of the segment; if they differ, it compiles the limits again.
//
//   turn   even: the limits stand still. Odd: a change is being written; each request compiles a plan for itself,
//          and none is kept. If the process that changes limits is killed, the turn stays odd: decisions still
//          follow the words, but are slower, until the next change ends.
//
// Most changes leave most plans as they were. If the limits compile to a plan that is kept already, that plan gets
// the new turn, so there is one for each set of limits that an operation ever had. A plan is kept until the limiter
// is destroyed, since another thread may be deciding by it. When kMostPlans are kept, a request under other limits
// compiles a plan for itself.
//
// Threads   any number of threads may compile at once. Each keeps a plan that is right for its turn.
// Fork      plans are copied with the rest of the process; the segment stays mapped at the same addresses.

#include <array>
#include <atomic>
#include <cstdint>
#include <new>

namespace weir::detail {

/// Keeps what was compiled for each of N numbers.
template <class Compiled, std::size_t N>
class PlanShelf {
 public:
  static constexpr std::uint32_t kMostPlans = 4'096;

  PlanShelf() = default;
  PlanShelf(const PlanShelf&) = delete;
  PlanShelf& operator=(const PlanShelf&) = delete;
  ~PlanShelf() {
    for (Entry& entry : entries_) {
      for (Kept* kept = entry.all.load(std::memory_order_relaxed); kept != nullptr;) {
        Kept* const next = kept->next;
        delete kept;
        kept = next;
      }
    }
  }

  /// What is kept for `number` under `turn`; nullptr if it must be compiled. Cost  two loads.
  [[nodiscard]] const Compiled* find(std::uint32_t number, std::uint64_t turn) const noexcept {
    // acquire: pairs with keep(), so a plan that is seen is complete.
    const Kept* const kept = current_[number].load(std::memory_order_acquire);
    return kept != nullptr && kept->turn.load(std::memory_order_relaxed) == turn ? &kept->compiled : nullptr;
  }

  /// Keeps what was compiled from words that are all of `turn`. If memory runs out, or there are too many plans,
  /// nothing is kept.
  void keep(std::uint32_t number, const Compiled& compiled, std::uint64_t turn) noexcept {
    Entry& entry = entries_[number];
    if (entry.not_kept.load(std::memory_order_relaxed) == turn) return;
    Kept* kept = entry.all.load(std::memory_order_acquire);
    while (kept != nullptr && !(kept->compiled == compiled)) kept = kept->next;
    if (kept == nullptr) kept = add(entry, compiled);
    if (kept == nullptr) return entry.not_kept.store(turn, std::memory_order_relaxed);
    kept->turn.store(turn, std::memory_order_relaxed);
    current_[number].store(kept, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t kNoTurn = 1;  // an odd turn, under which no plan is kept

  struct Kept {
    Compiled compiled;
    std::atomic<std::uint64_t> turn{kNoTurn};
    Kept* next = nullptr;
  };
  struct Entry {
    std::atomic<Kept*> all{nullptr};
    std::atomic<std::uint64_t> not_kept{kNoTurn};  ///< the last turn whose plan could not be kept
  };

  Kept* add(Entry& entry, const Compiled& compiled) noexcept {
    if (kept_.fetch_add(1, std::memory_order_relaxed) >= kMostPlans) {
      kept_.store(kMostPlans, std::memory_order_relaxed);
      return nullptr;
    }
    Kept* const kept = new (std::nothrow) Kept{compiled};
    if (kept == nullptr) return nullptr;
    kept->next = entry.all.load(std::memory_order_relaxed);
    while (!entry.all.compare_exchange_weak(kept->next, kept, std::memory_order_release)) {
    }
    return kept;
  }

  std::array<std::atomic<Kept*>, N> current_{};
  std::array<Entry, N> entries_;
  std::atomic<std::uint32_t> kept_{0};
};

}  // namespace weir::detail

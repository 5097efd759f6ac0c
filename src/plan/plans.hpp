// SPDX-License-Identifier: Apache-2.0
#pragma once

// The plans of this process, each compiled when it is first needed.
//
// A plan holds for one turn of the limits (Control::turn), which every live change moves. A request compares
// the turn of its plan with that of the segment; where they differ, it compiles the limits again.
//
//   turn   even: the limits stand still. Odd: a change is being written; each request compiles a plan for
//          itself, and none is kept. A changer that is killed leaves the turn odd: decisions are right by the words, and
//          slower, until the next change ends it.
//
// Most changes leave most plans as they were. A plan that is found again gets the new turn, so one is kept
// for each set of limits that an operation ever had. It is kept until the limiter goes, since another thread
// may be in the middle of a decision by it. When kMostPlans are kept, a request under limits that are not
// among them compiles a plan for itself.
//
// Threads   any number may compile at once. Each keeps a plan that is right for the turn that it names.
// Fork      plans are copied with the rest of the process; the segment stays mapped at the same addresses.

#include <array>
#include <atomic>
#include <cstdint>
#include <new>

namespace weir::detail {

/// What was compiled of N things, by their numbers.
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

  /// What is kept of `number` under `turn`; nullptr: compile it. Two loads.
  [[nodiscard]] const Compiled* find(std::uint32_t number, std::uint64_t turn) const noexcept {
    // acquire: pairs with keep(); a plan that is seen was written before.
    const Kept* const kept = current_[number].load(std::memory_order_acquire);
    return kept != nullptr && kept->turn.load(std::memory_order_relaxed) == turn ? &kept->compiled : nullptr;
  }

  /// Keeps what was compiled from the words of `turn` alone. Without memory, or with too many plans, nothing
  /// is kept.
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
  static constexpr std::uint64_t kNoTurn = 1;  // odd: no plan is kept under it

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

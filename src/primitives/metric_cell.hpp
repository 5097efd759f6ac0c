// SPDX-License-Identifier: Apache-2.0
#pragma once

// What one lane has counted of one operation.
//
// The owner of the lane counts by plain loads and stores; no other process writes here. (In the shared lane, for threads
// that got none of their own, every process counts by atomic additions.) A reader adds up the cells of all lanes. Each
// counter only grows, whichever worker owns the lane, so no sum falls. Counters of one cell are of different moments.
//
//   tenant  the identity of the worker that calls still in flight belong to: see adopt()
//   of      the operation: how many names its block had before, + 1; 0: none yet. A block of the segment may pass on to
//           another operation: then the cell begins at zero, and until it does, readers pass it over.
//   marks   copies of the counters, one for each of the last eight steps of 8.6 s in which a request came. The mark of a
//           step is written before the first request of the step is counted. So what was counted since the oldest mark
//           that is at most seven steps old is what happened in the last 60.1 to 68.7 s: if a step has no mark,
//           nothing was counted in it. A reader takes the step of a mark before and after the copy.
//
// Crash    killed between load and store: one request less is counted. Between two stores of an admission and its
//          outcome: an admission without an outcome, which is what happened. While a mark is written: the step has
//          none, and the last minute is counted from the next one.
//          In adopt(): `lost` is stored before `tenant`, and is the same however often it is worked out.
//          In begin_as(): the cell is of the old operation, and the next owner empties it again.
// Stopped  an owner that is stopped keeps its lane. In the shared lane, a thread stopped while it writes a mark may wake
//          eight steps later, over a newer mark: the last minute then misses what that lane counted.
// Ordering relaxed: a counter publishes nothing. sync(of): release and acquire around the zeroes. sync(mark): as a
//          sequence lock: 0, the copies, the step.
// Damage   any number is a number; what is derived from several of them never goes below zero.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "weir/decision.hpp"

#include "base/word.hpp"
#include "primitives/response_times.hpp"

namespace weir::detail {

struct MetricCell {
  /// A step of the marks, in ticks: 8.6 s.
  static constexpr unsigned kStepShift = 40;
  static constexpr std::uint32_t kMarks = 8;
  static constexpr std::uint32_t kVerdicts = 8;
  /// The records of the global block, and then those of the operation's: see line_of().
  static constexpr std::uint32_t kLines = 64;

  struct alignas(kCacheLine) Mark {
    Word step;  ///< + 1; 0: none
    Word admitted;
    Word refused;
    Word succeeded;
    Word failed;
    Word ignored;
    Word time;
    Word unused;
  };

  // Written by an admission.
  Word tenant;
  Word of;
  Word step;  ///< + 1, of the newest mark
  Word last;  ///< ticks of the last request
  Word admitted;
  Word lost;  ///< admissions whose process ended before they did
  std::array<Word, 2> unused;
  // Written by the end of an admission.
  Word succeeded;
  Word failed;
  Word ignored;
  Word time;    ///< ticks of all calls together
  Word timed;   ///< calls of which the time is known
  Word peak;    ///< ticks of the longest call
  Word cpu;     ///< ns
  Word memory;  ///< bytes
  // Written by a refusal.
  std::array<Word, kVerdicts> refused;  ///< by Verdict
  // Written by the end of a wait.
  Word waited;     ///< waits that ended in an admission
  Word gave_up;    ///< waits that ended in a refusal
  Word wait_time;  ///< ticks of both
  std::array<Word, 5> unused_too;
  std::array<Mark, kMarks> marks;
  std::array<Word, kLines> refused_by;
  alignas(4096) std::array<Word, response_times::kCounters> times;

  [[nodiscard]] static constexpr std::uint64_t step_at(std::uint64_t now) noexcept {
    return (now >> kStepShift) + 1;
  }
};
static_assert(offsetof(MetricCell, times) == 4096 && sizeof(MetricCell) == 8192);

/// Counts in a cell.
/// @tparam kAlone  whether no other thread counts in it.
template <bool kAlone>
class MetricWriter {
 public:
  explicit MetricWriter(MetricCell& cell) noexcept : cell_(cell) {}

  void admitted(std::uint64_t now) noexcept {
    came(now);
    add(cell_.admitted, 1);
  }
  /// @param line  where the limit that refused stands in refused_by; kLines: no limit is named.
  void refused(Verdict verdict, std::uint32_t line, std::uint64_t now) noexcept {
    came(now);
    add(cell_.refused[static_cast<std::size_t>(verdict) % MetricCell::kVerdicts], 1);
    if (line < MetricCell::kLines) add(cell_.refused_by[line], 1);
  }
  void ended(Outcome outcome) noexcept {
    add(outcome == Outcome::success   ? cell_.succeeded
        : outcome == Outcome::failure ? cell_.failed
                                      : cell_.ignored,
        1);
  }
  /// Counts how long a call took. `now` is when it ended.
  void took(std::uint64_t ticks, std::uint64_t now) noexcept {
    begin_step(now);
    add(cell_.time, ticks);
    add(cell_.timed, 1);
    add(cell_.times[response_times::index(ticks)], 1);
    if (ticks > cell_.peak.load(std::memory_order_relaxed)) raise(cell_.peak, ticks);
  }
  void waited(bool admitted, std::uint64_t ticks) noexcept {
    add(admitted ? cell_.waited : cell_.gave_up, 1);
    add(cell_.wait_time, ticks);
  }
  /// Counts what a call used beside time.
  void used(std::uint64_t cpu_ns, std::uint64_t bytes) noexcept {
    if (cpu_ns != 0) add(cell_.cpu, cpu_ns);
    if (bytes != 0) add(cell_.memory, bytes);
  }

 private:
  static void add(Word& word, std::uint64_t n) noexcept {
    if constexpr (kAlone) {
      word.store(word.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      (void)word.fetch_add(n, std::memory_order_relaxed);
    }
  }
  static void raise(Word& word, std::uint64_t to) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    if constexpr (kAlone) {
      word.store(to, std::memory_order_relaxed);
    } else {
      while (seen < to && !word.compare_exchange(seen, to, std::memory_order_relaxed)) {
      }
    }
  }

  void came(std::uint64_t now) noexcept {
    begin_step(now);
    cell_.last.store(now, std::memory_order_relaxed);
  }
  void begin_step(std::uint64_t now) noexcept {
    const std::uint64_t step = MetricCell::step_at(now);
    if (step > cell_.step.load(std::memory_order_relaxed)) [[unlikely]]
      mark(step);
  }

  [[gnu::noinline]] void mark(std::uint64_t step) noexcept {
    if constexpr (!kAlone) {  // one thread writes it
      std::uint64_t newest = cell_.step.load(std::memory_order_relaxed);
      if (newest >= step || !cell_.step.compare_exchange(newest, step, std::memory_order_relaxed)) return;
    }
    MetricCell::Mark& mark = cell_.marks[step % MetricCell::kMarks];
    const auto copy = [](Word& to, const Word& from) {
      to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
    };
    mark.step.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // sync(mark)
    copy(mark.admitted, cell_.admitted);
    std::uint64_t refused = 0;
    for (const Word& count : cell_.refused) refused += count.load(std::memory_order_relaxed);
    mark.refused.store(refused, std::memory_order_relaxed);
    copy(mark.succeeded, cell_.succeeded);
    copy(mark.failed, cell_.failed);
    copy(mark.ignored, cell_.ignored);
    copy(mark.time, cell_.time);
    mark.step.store(step, std::memory_order_release);  // sync(mark)
    if constexpr (kAlone) cell_.step.store(step, std::memory_order_relaxed);
  }

  MetricCell& cell_;
};

/// Makes a cell that of an operation, with nothing counted. Only the owner of the lane calls it; in the shared lane, only
/// while no process counts under that operation.
inline void begin_as(MetricCell& cell, std::uint64_t of) noexcept {
  cell.of.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // sync(of)
  const auto zero = [](Word& word) { word.store(0, std::memory_order_relaxed); };
  for (Word* word : {&cell.step, &cell.last, &cell.admitted, &cell.lost, &cell.succeeded, &cell.failed,
                     &cell.ignored, &cell.time, &cell.timed, &cell.peak, &cell.cpu, &cell.memory,
                     &cell.waited, &cell.gave_up, &cell.wait_time})
    zero(*word);
  for (Word& word : cell.refused) zero(word);
  for (MetricCell::Mark& mark : cell.marks) zero(mark.step);
  for (Word& word : cell.refused_by) zero(word);
  for (Word& word : cell.times) zero(word);
  cell.of.store(of, std::memory_order_release);  // sync(of)
}

/// The admissions of a cell that have not ended, modulo 2^64: an admission may end on another thread, so only the sum
/// over the lanes of a process is a number of calls.
[[nodiscard]] inline std::uint64_t unfinished(const MetricCell& cell) noexcept {
  const auto of = [](const Word& word) { return word.load(std::memory_order_relaxed); };
  return of(cell.admitted) - of(cell.succeeded) - of(cell.failed) - of(cell.ignored);
}

/// The new owner of a lane takes over a cell: what its predecessor admitted, and did not end, is lost.
inline void adopt(MetricCell& cell, std::uint64_t tenant) noexcept {
  if (cell.tenant.load(std::memory_order_relaxed) == tenant) return;
  cell.lost.store(unfinished(cell), std::memory_order_relaxed);
  cell.tenant.store(tenant, std::memory_order_release);  // sync(tenant): a reader that sees it sees `lost`
}

}  // namespace weir::detail

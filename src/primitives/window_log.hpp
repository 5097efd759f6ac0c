#pragma once

// An exact sliding window: the last C admission times in a ring, C >= the limit.
//
// The ring is in order: from the head, the oldest, the times never decrease up to the newest, the cell before
// the head. A request conforms when the limit-th newest time is out of the window; it is admitted by one
// compare-exchange of the oldest time by its own.
//
//   cell   time 57, in ns | lap 6 | given back 1     0: never used; given back: no longer counted
//   hint   turn 32 | index 32: a cell at or behind the head
//
//   admit    cell at the head: oldest -> {max(now, newest), the lap of this turn}; then hint -> past it
//   refund   cell: given back
//   reset    cell, oldest first: {the number of its turn, same lap, given back}, before all times that follow
//
// The lap of a cell says in which turn round the ring it was written, modulo 64. Equal times are therefore
// told apart, and the order needs no times at all: from cell 0 up to the head all cells have the lap of this
// turn, from the head on that of the turn before. A lap is written from that of the cell before, so a damaged
// one is mended when the head passes it.
//
// Head     The head is the one cell whose lap differs from that of the cell before it; or cell 0, if its lap
//          is that of the last cell. A process that finds the hint behind walks on from it, so a hint that a
//          killed process left behind costs a step.
// Unique   No value comes back to a cell: the time never decreases but by a reset, and where it stays the
//          same the lap does not, for the 64 turns that nobody makes within one ns.
// Exact    All admissions exchange the same cell, the oldest. So its exchange proves that since that cell was
//          read the ring stood still: what was read after it was the whole truth at one moment. A refusal
//          reads the cell once more for the same proof.
// Bound    By the times under which they are counted, no window of `length` at any position holds more than
//          `limit` admissions; those are `now` in whole ns, rounded up, or the newest time that was there
//          already, for a late clock. After the length was raised, this holds from one new length on.
// Refund   Gives back not the caller's own time but the oldest in the window. What stays counted is then as
//          many, at times not before what is true: a place is free at once, and the next ones up to a window
//          later than they could be. Never sooner, whichever process is paused where: see refund().
// Progress lock-free; a refusal only loads.
// Ordering release to exchange a cell, acquire to read one: a process that sees the newest time sees all that
//          it followed. The same for the hint, or a cell could look never used that was.
// Crash    One exchange admits. Killed before it: nothing. After it: counted, the hint lags. A cost of k is k
//          exchanges: killed between them, those before stay counted for a window.
// Damage   A time more than 2 * kMaxDepthTicks ahead counts as never. One less far ahead refuses until then,
//          or until reset().

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <span>

#include "base/ticks.hpp"
#include "base/word.hpp"
#include "primitives/window.hpp"

namespace weir::detail {

namespace log_cell {

inline constexpr std::uint64_t kGivenBack = 1;
inline constexpr std::uint64_t kLaps = 64;
inline constexpr unsigned kTimeShift = kTickShift;  // whole ns, so the upper bits are the time in ticks
inline constexpr std::uint64_t kTime = ~((std::uint64_t{1} << kTimeShift) - 1);
static_assert(kLaps << 1U == ~kTime + 1, "lap and flag fill what is below a nanosecond");

[[nodiscard]] constexpr std::uint64_t make(std::uint64_t time, std::uint64_t lap) noexcept {
  return (time & kTime) | (lap % kLaps) << 1;
}
[[nodiscard]] constexpr std::uint64_t time(std::uint64_t cell) noexcept {
  return cell & kTime;
}
[[nodiscard]] constexpr std::uint64_t lap(std::uint64_t cell) noexcept {
  return cell >> 1 & (kLaps - 1);
}
[[nodiscard]] constexpr bool given_back(std::uint64_t cell) noexcept {
  return (cell & kGivenBack) != 0;
}
/// Whether it holds no time: never used, or so far ahead that it is damage.
[[nodiscard]] constexpr bool never(std::uint64_t cell, std::uint64_t now) noexcept {
  return (cell & ~kGivenBack) == 0 || (time(cell) > now && time(cell) - now > 2 * kMaxDepthTicks);
}
/// Ticks until the time of a cell is out of the window; 0: it is.
[[nodiscard]] constexpr std::uint64_t leaves_in(std::uint64_t cell, std::uint64_t now,
                                                std::uint64_t length) noexcept {
  if (never(cell, now)) return 0;
  if (time(cell) >= now) return time(cell) - now + length;
  const std::uint64_t age = now - time(cell);
  return age < length ? length - age : 0;
}
/// Of an admission at `now`, after the newest before it. Rounded up: a window is never cut short.
[[nodiscard]] constexpr std::uint64_t next(std::uint64_t now, std::uint64_t newest) noexcept {
  return std::max(ns_from_ticks(now) << kTimeShift, newest);
}

}  // namespace log_cell

/// @tparam Cell  a Word; const for a process that only looks.
template <class Cell>
class BasicWindowLog {
 public:
  /// @param times  as many cells as the limit will ever be, at least one; a higher limit is cut to them.
  BasicWindowLog(std::span<Cell> times, Cell& hint) noexcept : times_(times), hint_(&hint) {
    assert(!times.empty());
  }

  /// Ticks until a request of `cost` (at least 1) conforms; 0: it does now; kNever: cost above the limit.
  /// Exact, as long as nobody else comes first.
  [[nodiscard]] std::uint64_t wait(WindowParams params, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    if (cost > limit_of(params)) return kNever;
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = blocked_for(head, params, now, cost);
      if (wait == 0 || stood_still(head)) return wait;
    }
  }

  /// Counts `cost` admissions if they conform. @return 0: counted; else as wait(), and nothing stays counted.
  /// @param counted_at  set to the time under which the first of them is counted.
  std::uint64_t admit(WindowParams params, std::uint64_t now, std::uint32_t cost,
                      std::uint64_t* counted_at = nullptr) noexcept {
    if (cost > limit_of(params)) return kNever;
    std::uint64_t first = 0;
    for (std::uint32_t done = 0; done < cost; ++done) {
      // Asking each time for all that is missing: who cannot have everything stops early.
      const Charge charge = admit_one(params, now, cost - done);
      if (charge.wait != 0) return done == 0 ? charge.wait : undo(params, now, cost, done);
      if (done == 0) first = charge.time;
    }
    if (counted_at != nullptr) *counted_at = first;
    return 0;
  }

  /// Gives back what an admit() of `cost` counted; nothing, once it may be out of the window.
  ///
  /// Why it never gives back what is not the caller's: every admission that stands is stood for by a counted
  /// time in the ring, not older than its own. The oldest counted one is not newer than the one that stands
  /// for ours; giving that back, whoever it stood for is stood for by ours from then on. This fails only if
  /// ours has left the ring. Then whoever replaced it did so a window after it at least, and that time is met
  /// here: in the head, or in the place where ours was.
  ///
  /// @param charged_at  the `now` that was given to admit().
  void refund(WindowParams params, std::uint64_t now, std::uint32_t cost, std::uint64_t charged_at) noexcept {
    const std::uint64_t gone_at = charged_at + params.length;
    if (now >= gone_at) return;
    const Head head = find_head(now);
    if (head.newest >= gone_at) return;
    for (std::uint32_t back = size(); back > 0 && cost > 0; --back) {
      const std::uint32_t index = before(head.index, back);
      Word& cell = times_[index];
      std::uint64_t seen = cell.load(std::memory_order_acquire);
      if (log_cell::time(seen) >= gone_at) return;
      if (log_cell::lap(seen) != lap_of(head, index)) continue;  // replaced since: the newest, not the oldest
      if (log_cell::given_back(seen) || log_cell::leaves_in(seen, now, params.length) == 0) continue;
      if (cell.compare_exchange(seen, seen | log_cell::kGivenBack, std::memory_order_acq_rel)) {
        --cost;  // it was in the ring until now, so all that are newer are
      } else if (log_cell::time(seen) >= gone_at) {
        return;
      }
    }
  }

  /// Counts what has happened already, above the limit too. What exceeds the cells is forgotten.
  void charge(WindowParams /*params*/, std::uint64_t now, std::uint32_t cost) noexcept {
    for (std::uint32_t left = std::min(cost, size()); left > 0; --left) {
      for (;;) {
        const Head head = find_head(now);
        const bool all_of_now = !log_cell::given_back(head.oldest) && !log_cell::never(head.oldest, now) &&
                                log_cell::time(head.oldest) == log_cell::next(now, head.newest);
        // The whole ring counts at this time already: one more of it would take the place of one of it.
        if (all_of_now && stood_still(head)) return;
        if (push(head, now)) break;
      }
    }
  }

  /// The highest cost that conforms now.
  [[nodiscard]] std::uint32_t available(WindowParams params, std::uint64_t now) const noexcept {
    const std::uint32_t limit = limit_of(params);
    for (;;) {
      const Head head = find_head(now);
      const std::uint32_t taken = depth(head, params, now);
      if (stood_still(head)) return limit - std::min(limit, taken);
    }
  }

  /// Ticks until nothing is counted any more; 0: at rest.
  [[nodiscard]] std::uint64_t full_in(WindowParams params, std::uint64_t now) const noexcept {
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = counted_until(head, 1, params, now);
      if (stood_still(head)) return wait;
    }
  }

  /// Shows every time that is counted to visit(time). Of times that change meanwhile some are shown, and perhaps twice.
  template <class Visit>
  void for_each_time(WindowParams params, std::uint64_t now, Visit&& visit) const {
    for (const Word& cell : times_) {
      const std::uint64_t seen = cell.load(std::memory_order_acquire);
      if (!log_cell::given_back(seen) && log_cell::leaves_in(seen, now, params.length) != 0)
        visit(log_cell::time(seen));
    }
  }

  /// The same as visit(key, time, count), as all kinds of windows have it.
  template <class Visit>
  void for_each_count(WindowParams params, std::uint64_t now, Visit&& visit) const {
    for_each_time(params, now, [&](std::uint64_t time) { visit(time, time, 1U); });
  }

  /// Forgets all admissions that it meets. One that comes meanwhile may stay.
  void reset() noexcept {
    const Head head = find_head(~std::uint64_t{0});
    // Oldest first, and each to a value between those of its neighbours: in order at every moment. The number
    // of its turn is such a value, as a turn takes longer than a ns; and it makes each value a new one.
    for (std::uint32_t i = 0; i < size(); ++i) {
      const std::uint32_t index = before(head.index, size() - i);
      Word& cell = times_[index];
      std::uint64_t seen = cell.load(std::memory_order_acquire);
      std::uint64_t time = log_cell::time(seen);
      if (log_cell::lap(seen) == lap_of(head, index)) {  // else replaced since, and the newest
        const std::uint64_t turn = index < head.index ? head.turn : std::max(head.turn, 1U) - 1;
        time = std::min(time, turn << log_cell::kTimeShift);
      }
      const std::uint64_t forgotten = log_cell::make(time, log_cell::lap(seen)) | log_cell::kGivenBack;
      if (seen != 0 && seen != forgotten)
        (void)cell.compare_exchange(seen, forgotten, std::memory_order_acq_rel);
    }
  }

 private:
  struct Head {
    std::uint64_t hint = 0;  ///< as it was read
    std::uint32_t turn = 0;
    std::uint32_t index = 0;
    std::uint64_t lap = 0;     ///< of the cells before it, and of the one that will be written
    std::uint64_t oldest = 0;  ///< the cell
    std::uint64_t newest = 0;  ///< the time; 0: never
  };
  struct Charge {
    std::uint64_t wait = 0;
    std::uint64_t time = 0;
  };

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(times_.size()); }
  [[nodiscard]] std::uint32_t limit_of(WindowParams params) const noexcept {
    return std::min(params.limit, size());
  }
  /// The cell `back` places before; both within the ring.
  [[nodiscard]] std::uint32_t before(std::uint32_t index, std::uint32_t back) const noexcept {
    return index >= back ? index - back : index + size() - back;
  }

  [[nodiscard]] Head find_head(std::uint64_t now) const noexcept {
    for (;;) {
      const std::uint64_t hint = hint_->load(std::memory_order_acquire);
      const auto index = static_cast<std::uint32_t>(hint);
      Head head{hint, static_cast<std::uint32_t>(hint >> 32), index < size() ? index : index % size()};
      // If no cell differs from the one before it, cell 0 is the head: only others' writes start it again.
      for (std::uint32_t step = 0; step < size(); ++step) {
        head.oldest = times_[head.index].load(std::memory_order_acquire);
        // Read second: beside a cell that is unchanged since, it proves that cell the oldest.
        const std::uint64_t newest = times_[before(head.index, 1)].load(std::memory_order_acquire);
        const bool same_lap = log_cell::lap(newest) == log_cell::lap(head.oldest);
        if (same_lap == (head.index == 0)) {
          head.lap = (log_cell::lap(newest) + (head.index == 0 ? 1 : 0)) % log_cell::kLaps;
          head.newest = log_cell::never(newest, now) ? 0 : log_cell::time(newest);
          return head;
        }
        pass(head);
      }
    }
  }

  /// The lap of a cell while the ring stands still.
  [[nodiscard]] static std::uint64_t lap_of(const Head& head, std::uint32_t index) noexcept {
    return index < head.index ? head.lap : (head.lap + log_cell::kLaps - 1) % log_cell::kLaps;
  }

  void pass(Head& head) const noexcept {
    if (++head.index < size()) return;
    head.index = 0;
    ++head.turn;
  }

  [[nodiscard]] bool stood_still(const Head& head) const noexcept {
    return times_[head.index].load(std::memory_order_acquire) == head.oldest;
  }

  [[nodiscard]] std::uint64_t at(const Head& head, std::uint32_t back) const noexcept {
    return back == size() ? head.oldest : times_[before(head.index, back)].load(std::memory_order_acquire);
  }

  /// Ticks until no time from the `back`-th newest on, towards the oldest, is counted in the window.
  [[nodiscard]] std::uint64_t counted_until(const Head& head, std::uint32_t back, WindowParams params,
                                            std::uint64_t now) const noexcept {
    // Only times that were given back let the loop go on: without any, it is one load.
    for (; back <= size(); ++back) {
      const std::uint64_t cell = at(head, back);
      const std::uint64_t wait = log_cell::leaves_in(cell, now, params.length);
      if (wait == 0 || !log_cell::given_back(cell)) return wait;
    }
    return 0;
  }

  [[nodiscard]] std::uint64_t blocked_for(const Head& head, WindowParams params, std::uint64_t now,
                                          std::uint32_t cost) const noexcept {
    return counted_until(head, limit_of(params) - cost + 1, params, now);
  }

  /// How many back the oldest counted time in the window is; 0: there is none.
  [[nodiscard]] std::uint32_t depth(const Head& head, WindowParams params, std::uint64_t now) const noexcept {
    std::uint32_t inside = 0;  // the times from here on back are out of the window: halve until found
    std::uint32_t outside = size() + 1;
    while (outside - inside > 1) {
      const std::uint32_t middle = inside + (outside - inside) / 2;
      (log_cell::leaves_in(at(head, middle), now, params.length) != 0 ? inside : outside) = middle;
    }
    while (inside > 0 && log_cell::given_back(at(head, inside))) --inside;
    return inside;
  }

  Charge admit_one(WindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = blocked_for(head, params, now, cost);
      if (wait != 0) {
        if (stood_still(head)) return {.wait = wait};
      } else if (push(head, now)) {
        return {.time = log_cell::next(now, head.newest)};
      }
    }
  }

  /// @return whether it was counted; else another process came first.
  bool push(Head head, std::uint64_t now) noexcept {
    const std::uint64_t cell = log_cell::make(log_cell::next(now, head.newest), head.lap);
    if (!times_[head.index].compare_exchange(head.oldest, cell, std::memory_order_acq_rel)) return false;
    // crash here: counted. The cell has the lap of the one before it, so the next process walks past it.
    pass(head);
    const std::uint64_t next = std::uint64_t{head.turn} << 32 | head.index;
    // Lost to a process that helped.
    (void)hint_->compare_exchange(head.hint, next, std::memory_order_release);
    return true;
  }

  /// Gives back `done` of `cost`. @return how long to wait then; at least a tick: it was refused.
  std::uint64_t undo(WindowParams params, std::uint64_t now, std::uint32_t cost,
                     std::uint32_t done) noexcept {
    refund(params, now, done, now);
    return std::max(wait(params, now, cost), std::uint64_t{1});
  }

  std::span<Cell> times_;
  Cell* hint_;
};
using WindowLog = BasicWindowLog<Word>;

}  // namespace weir::detail

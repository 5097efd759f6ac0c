// SPDX-License-Identifier: Apache-2.0
#pragma once

// An exact sliding window: the last C admission times in a ring, C >= the limit.
//
// The ring is in order: from the head, which is the oldest cell, the times never decrease up to the newest,
// which is in the cell before the head. A request conforms when the limit-th newest time is out of the
// window; it is admitted by one compare-exchange that replaces the oldest time with its own.
//
//   cell   time 57, in ns | lap 6 | given back 1     0: never used; given back: no longer counted
//   hint   turn 32 | index 32: a cell at or behind the head
//
//   admit    the cell at the head: oldest -> {max(now, newest), the lap of this turn}; then hint -> past it
//   refund   a cell: given back
//   reset    each cell, oldest first: {the number of its turn, same lap, given back}, before all later times
//
// The lap of a cell says in which turn round the ring it was written, modulo 64. Equal times are therefore
// told apart, and the order does not depend on times at all: from cell 0 up to the head all cells have the
// lap of this turn, and from the head on the lap of the turn before. A lap is derived from that of the cell
// before it, so a damaged lap is repaired when the head passes it.
//
// Head     The head is the one cell whose lap differs from that of the cell before it; or cell 0, if its lap
//          is that of the last cell. A process that finds the hint behind the head walks on from it, so a
//          hint that a killed process did not move costs one step.
// Unique   No value comes back to a cell. The time decreases only by a reset. While the time stays the same
//          the lap does not, for 64 turns, and 64 turns take longer than one ns.
// Exact    All admissions exchange the same cell, the oldest. So a successful exchange proves that the ring
//          has not changed since that cell was read: everything that was read after it was true at one
//          moment. A refusal reads the cell again for the same proof.
// Bound    Going by the times under which admissions are counted, no window of `length` at any position holds
//          more than `limit` of them. That time is `now` in whole ns, rounded up, or for a late clock the
//          newest time that was already there. After the length was raised, this holds once one new length
//          has passed.
// Refund   Gives back the oldest time in the window, not the caller's own. The number that stays counted is
//          right, and their times are not earlier than the true ones: one permit is free at once, and the
//          next ones up to a window later than they could be. Never sooner, whichever process is paused
//          anywhere: see refund().
// Progress lock-free; a refusal only loads.
// Ordering exchanging a cell releases and reading one acquires: a process that sees the newest time sees all
//          times before it. The same holds for the hint; otherwise a used cell could look as if it was never
//          used.
// Crash    One exchange admits. Killed before it: nothing is counted. After it: the request is counted, and
//          the hint lags. A cost of k is k exchanges: if the process is killed between them, the earlier ones
//          stay counted for a window.
// Damage   A time more than 2 * kMaxDepthTicks ahead counts as never used. A time less far ahead refuses
//          until then, or until reset().

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
inline constexpr unsigned kTimeShift = kTickShift;  // whole ns, so that the upper bits are the time in ticks
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
/// Whether a cell holds no time: it was never used, or its time is so far ahead that it is damage.
[[nodiscard]] constexpr bool never(std::uint64_t cell, std::uint64_t now) noexcept {
  return (cell & ~kGivenBack) == 0 || (time(cell) > now && time(cell) - now > 2 * kMaxDepthTicks);
}
/// Ticks until the time of a cell is out of the window; 0: it is out.
[[nodiscard]] constexpr std::uint64_t leaves_in(std::uint64_t cell, std::uint64_t now,
                                                std::uint64_t length) noexcept {
  if (never(cell, now)) return 0;
  if (time(cell) >= now) return time(cell) - now + length;
  const std::uint64_t age = now - time(cell);
  return age < length ? length - age : 0;
}
/// The time of an admission at `now` that follows `newest`. It is rounded up, so that a window is never cut
/// short.
[[nodiscard]] constexpr std::uint64_t next(std::uint64_t now, std::uint64_t newest) noexcept {
  return std::max(ns_from_ticks(now) << kTimeShift, newest);
}

}  // namespace log_cell

/// @tparam Cell  Word, or const Word for a process that only reads.
template <class Cell>
class BasicWindowLog {
 public:
  /// @param times  as many cells as the limit will ever be, at least one; a higher limit is cut to their
  ///               number.
  BasicWindowLog(std::span<Cell> times, Cell& hint) noexcept : times_(times), hint_(&hint) {
    assert(!times.empty());
  }

  /// Ticks until a request of `cost` (at least 1) conforms; 0: it does now; kNever: the cost is above the
  /// limit. It is exact if no other request comes first.
  [[nodiscard]] std::uint64_t wait(WindowParams params, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    if (cost > limit_of(params)) return kNever;
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = blocked_for(head, params, now, cost);
      if (wait == 0 || stood_still(head)) return wait;
    }
  }

  /// Counts `cost` admissions if they conform. @return 0 if they were counted; otherwise as wait(), and
  /// nothing stays counted.
  /// @param counted_at  set to the time under which the first of them is counted.
  std::uint64_t admit(WindowParams params, std::uint64_t now, std::uint32_t cost,
                      std::uint64_t* counted_at = nullptr) noexcept {
    if (cost > limit_of(params)) return kNever;
    std::uint64_t first = 0;
    for (std::uint32_t done = 0; done < cost; ++done) {
      // Check for the whole remaining cost each time, so that a request that cannot succeed stops early.
      const Charge charge = admit_one(params, now, cost - done);
      if (charge.wait != 0) return done == 0 ? charge.wait : undo(params, now, cost, done);
      if (done == 0) first = charge.time;
    }
    if (counted_at != nullptr) *counted_at = first;
    return 0;
  }

  /// Gives back what an admit() of `cost` counted, or nothing once that may be out of the window.
  ///
  /// Why it never gives back an admission of another caller: each valid admission is represented by a counted
  /// time in the ring that is not older than its own. The oldest counted time is not newer than the one that
  /// represents ours. When we give the oldest back, the admission that it represented is represented by our
  /// time from then on. This fails only if our time has left the ring. Then it was replaced at least a window
  /// later, and that later time is met here: in the head, or in the cell where ours was.
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
      if (log_cell::lap(seen) != lap_of(head, index)) continue;  // replaced: it is now the newest time
      if (log_cell::given_back(seen) || log_cell::leaves_in(seen, now, params.length) == 0) continue;
      if (cell.compare_exchange(seen, seen | log_cell::kGivenBack, std::memory_order_acq_rel)) {
        --cost;  // it was in the ring until now, and so are all newer times
      } else if (log_cell::time(seen) >= gone_at) {
        return;
      }
    }
  }

  /// Counts requests that have already happened, even above the limit. What exceeds the cells is forgotten.
  void charge(WindowParams /*params*/, std::uint64_t now, std::uint32_t cost) noexcept {
    for (std::uint32_t left = std::min(cost, size()); left > 0; --left) {
      for (;;) {
        const Head head = find_head(now);
        const bool all_of_now = !log_cell::given_back(head.oldest) && !log_cell::never(head.oldest, now) &&
                                log_cell::time(head.oldest) == log_cell::next(now, head.newest);
        // The whole ring already counts at this time: one more would only replace one of them.
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

  /// Ticks until nothing is counted; 0: the window is at rest.
  [[nodiscard]] std::uint64_t full_in(WindowParams params, std::uint64_t now) const noexcept {
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = counted_until(head, 1, params, now);
      if (stood_still(head)) return wait;
    }
  }

  /// Calls visit(time) for every time that is counted. Of times that change meanwhile only some are shown,
  /// and perhaps twice.
  template <class Visit>
  void for_each_time(WindowParams params, std::uint64_t now, Visit&& visit) const {
    for (const Word& cell : times_) {
      const std::uint64_t seen = cell.load(std::memory_order_acquire);
      if (!log_cell::given_back(seen) && log_cell::leaves_in(seen, now, params.length) != 0)
        visit(log_cell::time(seen));
    }
  }

  /// As for_each_time(), with visit(key, time, count) as for the other kinds of windows.
  template <class Visit>
  void for_each_count(WindowParams params, std::uint64_t now, Visit&& visit) const {
    for_each_time(params, now, [&](std::uint64_t time) { visit(time, time, 1U); });
  }

  /// Forgets all admissions that it meets. An admission that comes meanwhile may stay.
  void reset() noexcept {
    const Head head = find_head(~std::uint64_t{0});
    // Go from the oldest on, and set each cell to a value between those of its neighbours, so that the ring
    // is in order at every moment. The number of a cell's turn is such a value, because a turn takes longer
    // than a ns; and it makes each value a new one.
    for (std::uint32_t i = 0; i < size(); ++i) {
      const std::uint32_t index = before(head.index, size() - i);
      Word& cell = times_[index];
      std::uint64_t seen = cell.load(std::memory_order_acquire);
      std::uint64_t time = log_cell::time(seen);
      if (log_cell::lap(seen) == lap_of(head, index)) {  // otherwise it was replaced since, and is the newest
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
    std::uint64_t lap = 0;     ///< of the cells before it, and of the cell that will be written
    std::uint64_t oldest = 0;  ///< the cell at the head
    std::uint64_t newest = 0;  ///< its time; 0: never
  };
  struct Charge {
    std::uint64_t wait = 0;
    std::uint64_t time = 0;
  };

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(times_.size()); }
  [[nodiscard]] std::uint32_t limit_of(WindowParams params) const noexcept {
    return std::min(params.limit, size());
  }
  /// The index of the cell `back` cells before; both numbers are within the ring.
  [[nodiscard]] std::uint32_t before(std::uint32_t index, std::uint32_t back) const noexcept {
    return index >= back ? index - back : index + size() - back;
  }

  [[nodiscard]] Head find_head(std::uint64_t now) const noexcept {
    for (;;) {
      const std::uint64_t hint = hint_->load(std::memory_order_acquire);
      const auto index = static_cast<std::uint32_t>(hint);
      Head head{hint, static_cast<std::uint32_t>(hint >> 32), index < size() ? index : index % size()};
      // If no cell differs from the one before it, cell 0 is the head. The search starts again only after
      // other processes wrote.
      for (std::uint32_t step = 0; step < size(); ++step) {
        head.oldest = times_[head.index].load(std::memory_order_acquire);
        // This is read second: if the other cell has not changed since, it was the oldest at this moment.
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

  /// The lap of a cell as long as the ring does not change.
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
    // The loop goes on only over times that were given back: without any, it is one load.
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

  /// How far back the oldest counted time in the window lies; 0: there is none.
  [[nodiscard]] std::uint32_t depth(const Head& head, WindowParams params, std::uint64_t now) const noexcept {
    std::uint32_t inside = 0;  // all times from some number on are out of the window: halve until it is found
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

  /// @return whether it was counted; otherwise another process came first.
  bool push(Head head, std::uint64_t now) noexcept {
    const std::uint64_t cell = log_cell::make(log_cell::next(now, head.newest), head.lap);
    if (!times_[head.index].compare_exchange(head.oldest, cell, std::memory_order_acq_rel)) return false;
    // crash here: it is counted. The cell has the lap of the one before it, so the next process walks past
    // it.
    pass(head);
    const std::uint64_t next = std::uint64_t{head.turn} << 32 | head.index;
    // If this fails, another process has moved the hint already.
    (void)hint_->compare_exchange(head.hint, next, std::memory_order_release);
    return true;
  }

  /// Gives back `done` of `cost`. @return how long to wait then, at least one tick, because the request is
  /// refused.
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

#pragma once

// An exact sliding window: the last C admission times in a ring, C >= the limit.
//
// The ring is in order: from the head, the oldest, the times increase up to the newest, the cell before the
// head. A request conforms when the limit-th newest time is out of the window; it is admitted by one
// compare-exchange of the oldest time by its own.
//
//   cell   an admission time in ticks, always even; its lowest bit: given back, no longer counted; 0: never
//   hint   turn 32 | index 32: a cell at or behind the head
//
//   admit    cell at the head: oldest -> max(now, newest + 2); then hint -> past it
//   refund   cell: time -> time | 1 (given back)
//   reset    cell, oldest first: time -> 2 * its place in the order + 1 (given back, before every time)
//
// Times only grow along the ring and in each cell, and no value comes back to a cell. From that follows:
//
// Head     The head is the one cell that is not newer than the cell before it. Whoever finds the hint behind
//          walks on from it, so a hint that a killed process left behind costs a step.
// Exact    All admissions exchange the same cell, the oldest. So its exchange proves that since that cell was
//          read the ring stood still: what was read after it was the whole truth at one moment. A refusal
//          reads the cell once more for the same proof.
// Bound    By the times under which they are counted, no window of `length` at any position holds more than
//          `limit` admissions; those are `now`, or later by 2 ticks for each one that came before with a
//          later clock. After the length was raised, this holds from one new length on.
// Refund   Gives back not the caller's own time but the oldest in the window. What stays counted is then as
//          many, at times not before what is true: a place is free at once, and the next ones up to a window
//          later than they could be. Never sooner, whoever is paused where: see refund().
// Progress lock-free; a refusal only loads.
// Ordering release to exchange a cell, acquire to read one: who sees the newest time sees all that it
//          followed. The same for the hint, or a cell could look never used that was.
// Crash    One exchange admits. Killed before it: nothing. After it: counted, the hint lags. A cost of k is k
//          exchanges: killed between them, those before stay counted for a window.
// Damage   A time more than 2 * kMaxDepthTicks ahead counts as never. One less far ahead refuses until then,
//          or until reset().

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <span>

#include "base/word.hpp"
#include "primitives/window.hpp"

namespace weir::detail {

namespace log_time {

inline constexpr std::uint64_t kGivenBack = 1;
inline constexpr std::uint64_t kStep = 2;

[[nodiscard]] constexpr bool given_back(std::uint64_t cell) noexcept {
  return (cell & kGivenBack) != 0;
}
/// 0: never, or so far ahead that it is damage.
[[nodiscard]] constexpr std::uint64_t of(std::uint64_t cell, std::uint64_t now) noexcept {
  const std::uint64_t time = cell & ~kGivenBack;
  return time > now && time - now > 2 * kMaxDepthTicks ? 0 : time;
}
/// Ticks until the time of a cell is out of the window; 0: it is.
[[nodiscard]] constexpr std::uint64_t leaves_in(std::uint64_t cell, std::uint64_t now,
                                                std::uint64_t length) noexcept {
  const std::uint64_t time = of(cell, now);
  if (time == 0) return 0;
  if (time >= now) return time - now + length;
  const std::uint64_t age = now - time;
  return age < length ? length - age : 0;
}
/// Of an admission at `now`, after the newest before it. Rounded up: a window is never cut short.
[[nodiscard]] constexpr std::uint64_t next(std::uint64_t now, std::uint64_t newest) noexcept {
  return std::max((now + kGivenBack) & ~kGivenBack, newest + kStep);
}

}  // namespace log_time

class WindowLog {
 public:
  /// @param times  as many cells as the limit will ever be, at least one; a higher limit is cut to them.
  WindowLog(std::span<Word> times, Word& hint) noexcept : times_(times), hint_(&hint) {
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
    if (log_time::leaves_in(charged_at, now, params.length) == 0) return;
    const std::uint64_t gone_at = charged_at + params.length;
    const Head head = find_head(now);
    if (head.newest >= gone_at) return;
    for (std::uint32_t back = size(); back > 0 && cost > 0; --back) {
      Word& cell = times_[before(head.index, back)];
      std::uint64_t time = cell.load(std::memory_order_acquire);
      if (time >= gone_at) return;
      if (time > head.newest) continue;  // replaced since: the newest now, not the oldest
      if (log_time::given_back(time) || log_time::leaves_in(time, now, params.length) == 0) continue;
      if (cell.compare_exchange(time, time | log_time::kGivenBack, std::memory_order_acq_rel)) {
        --cost;  // it was in the ring until now, so all that are newer are
      } else if (time >= gone_at) {
        return;
      }
    }
  }

  /// Counts what has happened already, above the limit too. What exceeds the cells is forgotten.
  void charge(WindowParams /*params*/, std::uint64_t now, std::uint32_t cost) noexcept {
    for (std::uint32_t left = std::min(cost, size()); left > 0; --left) {
      while (push(find_head(now), now) == 0) {
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

  /// Forgets all admissions that it meets. One that comes meanwhile may stay.
  void reset() noexcept {
    const Head head = find_head(~std::uint64_t{0});  // by the order alone: nothing lies ahead of this
    // Oldest first, and each to a value between those of its neighbours: in order at every moment. The n-th
    // time of a ring is at least 2 n, so 2 n + 1 with the n of the time before lies below all that follow.
    const std::uint64_t order = std::uint64_t{head.turn} * size() + head.index;
    for (std::uint32_t i = 0; i < size(); ++i) {
      Word& cell = times_[before(head.index, size() - i)];
      std::uint64_t seen = cell.load(std::memory_order_acquire);
      const std::uint64_t place = order + i >= size() ? 2 * (order + i - size()) : 0;
      const std::uint64_t forgotten = (place < seen ? place : 0) | log_time::kGivenBack;
      if (seen > forgotten) (void)cell.compare_exchange(seen, forgotten, std::memory_order_acq_rel);
    }
  }

 private:
  struct Head {
    std::uint64_t hint = 0;  ///< as it was read
    std::uint32_t turn = 0;
    std::uint32_t index = 0;
    std::uint64_t oldest = 0;  ///< the cell
    std::uint64_t newest = 0;  ///< the time
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
      // Cells in a circle cannot each be newer than the one before: only others' writes make us start again.
      for (std::uint32_t step = 0; step < size(); ++step) {
        head.oldest = times_[head.index].load(std::memory_order_acquire);
        // Read second: not older than a cell that is unchanged since, it proves that cell the oldest.
        head.newest = log_time::of(times_[before(head.index, 1)].load(std::memory_order_acquire), now);
        if (log_time::of(head.oldest, now) <= head.newest) return head;
        pass(head);
      }
    }
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
      const std::uint64_t wait = log_time::leaves_in(cell, now, params.length);
      if (wait == 0 || !log_time::given_back(cell)) return wait;
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
      (log_time::leaves_in(at(head, middle), now, params.length) != 0 ? inside : outside) = middle;
    }
    while (inside > 0 && log_time::given_back(at(head, inside))) --inside;
    return inside;
  }

  Charge admit_one(WindowParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    for (;;) {
      const Head head = find_head(now);
      const std::uint64_t wait = blocked_for(head, params, now, cost);
      if (wait != 0) {
        if (stood_still(head)) return {.wait = wait};
      } else if (const std::uint64_t time = push(head, now); time != 0) {
        return {.time = time};
      }
    }
  }

  /// @return the time; 0: somebody else came first.
  std::uint64_t push(Head head, std::uint64_t now) noexcept {
    const std::uint64_t time = log_time::next(now, head.newest);
    if (!times_[head.index].compare_exchange(head.oldest, time, std::memory_order_acq_rel)) return 0;
    // crash here: counted. The cell is newer than the one before it, so the next one walks past it.
    pass(head);
    const std::uint64_t next = std::uint64_t{head.turn} << 32 | head.index;
    // Lost to whoever helped.
    (void)hint_->compare_exchange(head.hint, next, std::memory_order_release);
    return time;
  }

  /// Gives back `done` of `cost`. @return how long to wait then; at least a tick: it was refused.
  std::uint64_t undo(WindowParams params, std::uint64_t now, std::uint32_t cost,
                     std::uint32_t done) noexcept {
    refund(params, now, done, now);
    return std::max(wait(params, now, cost), std::uint64_t{1});
  }

  std::span<Word> times_;
  Word* hint_;
};

}  // namespace weir::detail

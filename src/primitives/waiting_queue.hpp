// SPDX-License-Identifier: Apache-2.0
#pragma once

// Queues of waiters: which of them goes first, and which is rung when something comes back. docs/waiting.md has the
// protocol, seat.hpp the words.
//
// A queue is looked at, never linked: its waiters are the seats that are taken, in the order of their keys. So nothing
// that a killed process leaves has to be mended but its seat.
//
// Cost  one load of 16 bytes for each seat that is taken, of 8 for each that is free.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "base/owner.hpp"
#include "base/word.hpp"
#include "primitives/seat.hpp"

namespace weir::detail {

/// The place of a waiter in the order of all waiters: the lower key goes first.
///
///   key   5 less the rank 3 | fifo 1 | age 41 | seat 19
///
/// It follows from the seat and its queue alone, so the order has no circles.
struct WaitingKey {
  std::uint64_t value = 0;

  friend constexpr auto operator<=>(WaitingKey, WaitingKey) = default;
};

/// The order of one queue.
struct WaitingOrder {
  bool lifo = false;
  std::array<std::uint8_t, 4> shares{};  ///< of 16 turns, how many are guaranteed to the classes 1 to 4

  /// The class to which a turn is guaranteed; 0: none. The turns of a class are spread over the sixteen.
  [[nodiscard]] constexpr std::uint32_t favoured(std::uint64_t turn) const noexcept {
    constexpr std::array<std::uint8_t, 16> kSpread{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    // Each sixteen begin elsewhere, so that a queue which only sees every second turn, say, since another one takes the
    // others, still comes to all of them.
    const std::uint64_t shift = (turn / 16 * 0x9e3779b97f4a7c15U) >> 60;
    std::uint32_t position = 15U - kSpread[(turn + shift) % 16];  // the first ones come last
    for (std::uint32_t i = 0; i < shares.size(); ++i) {
      if (position < shares[i]) return i + 1;
      position -= shares[i];
    }
    return 0;
  }

  friend bool operator==(const WaitingOrder&, const WaitingOrder&) = default;
};

/// The seats of one queue.
class WaitingQueue {
 public:
  WaitingQueue() = default;
  /// @param seats   all that may be taken, also those beyond a limit that was lowered.
  /// @param usable  how many of them, from the first on, a newcomer may take.
  /// @param first   the number of the first of them in the segment.
  WaitingQueue(std::span<Seat> seats, std::uint32_t usable, std::uint32_t first, WaitingOrder order,
               const Word& turn) noexcept
      : seats_(seats),
        usable_(usable < seats.size() ? usable : static_cast<std::uint32_t>(seats.size())),
        first_(first),
        order_(order),
        turn_(&turn) {}

  [[nodiscard]] std::span<Seat> seats() const noexcept { return seats_; }
  [[nodiscard]] bool has(const Seat& seat) const noexcept {
    return &seat >= seats_.data() && &seat < seats_.data() + seats_.size();
  }

  /// The order at one moment.
  class Now {
   public:
    Now(const WaitingQueue& queue, std::uint64_t now) noexcept
        : queue_(queue),
          favoured_(queue.order_.favoured(queue.turn_->load(std::memory_order_relaxed))),
          now_(now >> Seated::kArrivalShift) {}

    /// @param seat  its number in the queue.
    [[nodiscard]] WaitingKey key(std::uint32_t urgency, std::uint64_t arrival,
                                 std::uint64_t seat) const noexcept {
      const bool in_its_turn = urgency != 0 && urgency == favoured_;
      return key_of(in_its_turn ? kMostUrgent + 1 : std::min(urgency, kMostUrgent), arrival, seat);
    }
    /// Of a request that comes now and has no seat. Turns are for waiters: if newcomers took them, which do not count
    /// them, a turn would never end.
    [[nodiscard]] WaitingKey key_of_newcomer(std::uint32_t urgency) const noexcept {
      return key_of(std::min(urgency, kMostUrgent), now_, kSeatMask - queue_.first_);
    }

   private:
    static constexpr std::uint64_t kSeatMask = (std::uint64_t{1} << 19) - 1;
    static constexpr std::uint32_t kMostUrgent = Seated::kClasses;

    [[nodiscard]] WaitingKey key_of(std::uint64_t rank, std::uint64_t arrival,
                                    std::uint64_t seat) const noexcept {
      // A waiter whose clock is ahead of ours by less than half a second is young, not old.
      constexpr std::uint64_t kAhead = std::uint64_t{1} << 20;
      const std::uint64_t age = (now_ + kAhead - arrival) & Seated::kArrivalMask;
      const std::uint64_t by_age = queue_.order_.lifo ? age : Seated::kArrivalMask - age;
      return {(kMostUrgent + 1 - rank) << 61 | std::uint64_t{!queue_.order_.lifo} << 60 | by_age << 19 |
              ((queue_.first_ + seat) & kSeatMask)};
    }

    const WaitingQueue& queue_;
    std::uint32_t favoured_;
    std::uint64_t now_;
  };

  /// Takes a free seat. @return nullptr: there is none.
  [[nodiscard]] Seat* take(Pair content) const noexcept {
    for (Seat& seat : seats_.first(usable_)) {
      if (seat.pair.load_first(std::memory_order_relaxed) != 0) continue;
      if (seat.pair.replace({0, seat.pair.load_second(std::memory_order_relaxed)}, content)) return &seat;
    }
    return nullptr;
  }

  /// Takes the seat of the waiter that would be served last, of the lowest class below that of `content`.
  /// @return nullptr: all are as urgent.
  [[nodiscard]] Seat* push_out(Pair content, std::uint64_t now) const noexcept {
    const Now order(*this, now);
    for (;;) {
      Seat* last = nullptr;
      Pair theirs;
      std::uint32_t lowest = Seated::of(content).urgency;
      WaitingKey latest;
      for (std::uint32_t i = 0; i < usable_; ++i) {
        const Pair seen = seats_[i].load();
        const Seated who = Seated::of(seen);
        if (!who.taken() || who.urgency > lowest) continue;
        const WaitingKey key = order.key(who.urgency, who.arrival, i);
        if (who.urgency == lowest && (last == nullptr || key <= latest)) continue;
        lowest = who.urgency;
        latest = key;
        last = &seats_[i];
        theirs = seen;
      }
      if (last == nullptr || last->pair.replace(theirs, content)) return last;
    }
  }

 private:
  std::span<Seat> seats_;
  std::uint32_t usable_ = 0;
  std::uint32_t first_ = 0;
  WaitingOrder order_;
  const Word* turn_ = nullptr;
};

/// A seat as it was seen.
struct SeenSeat {
  Seat* seat = nullptr;
  Pair pair;
  WaitingKey key{~std::uint64_t{0}};

  [[nodiscard]] explicit operator bool() const noexcept { return seat != nullptr; }
};

/// Which seats a look is for.
struct SeatFilter {
  Wants wants;                ///< those that lack something of this
  std::uint64_t now;          ///< ticks
  bool absent = false;        ///< those that do not answer, or those that do
  const Seat* but = nullptr;  ///< not this one
};

/// The first of the waiters that a filter lets pass, beyond a key.
/// @param queues  calls its argument with each WaitingQueue that is to be looked at.
template <class Queues>
[[nodiscard]] SeenSeat first_waiter(const Queues& queues, const SeatFilter& filter,
                                    std::optional<WaitingKey> beyond = {}) noexcept {
  SeenSeat first;
  queues([&](const WaitingQueue& queue) {
    const WaitingQueue::Now order(queue, filter.now);
    const std::span<Seat> seats = queue.seats();
    for (std::size_t i = 0; i < seats.size(); ++i) {
      if (seats[i].pair.load_first(std::memory_order_relaxed) == 0 || &seats[i] == filter.but) continue;
      const Pair seen = seats[i].load();
      const Seated who = Seated::of(seen);
      if (!who.taken() || who.present(filter.now) == filter.absent || !who.lacks.concerns(filter.wants))
        continue;
      const WaitingKey key = order.key(who.urgency, who.arrival, i);
      if (key < first.key && (!beyond || key > *beyond)) first = {&seats[i], seen, key};
    }
  });
  return first;
}

/// Rings one waiter. @return whether it slept.
template <class Wake>
bool ring(Seat& seat, Wake&& wake) noexcept {
  (void)seat.bell.fetch_add(1, std::memory_order_release);
  return wake(seat.bell);
}

/// Something came back: rings the waiter whose turn it is. If that one does not sleep, it is dead, stopped or about to
/// look, so the next one is rung, too.
/// @param wake  wakes all that sleep on a word, and tells whether any did.
template <class Queues, class Wake>
void ring_next(const Queues& queues, const Wants& came_back, std::uint64_t now, Wake&& wake,
               const Seat* but = nullptr) noexcept {
  constexpr int kMostRung = 32;  // waiters that poll never sleep
  int rung = 0;
  for (const bool absent : {false, true}) {
    std::optional<WaitingKey> beyond;
    while (rung < kMostRung) {
      const SeenSeat next = first_waiter(queues, {came_back, now, absent, but}, beyond);
      if (!next) break;
      if (ring(*next.seat, wake)) return;
      ++rung;
      beyond = next.key;
    }
  }
}

/// The same for several things at once, each of which may be lacked by another waiter.
template <class Queues, class Wake>
void ring_each(const Queues& queues, const Wants& came_back, std::uint64_t now, Wake&& wake,
               const Seat* but = nullptr) noexcept {
  for (unsigned bits = static_cast<unsigned>(came_back.what); bits != 0; bits &= bits - 1)
    ring_next(queues, {static_cast<Lacks>(bits & -bits), came_back.block, came_back.user}, now, wake, but);
}

/// Rings all waiters.
template <class Wake>
void ring_all(std::span<Seat> seats, Wake&& wake) noexcept {
  for (Seat& seat : seats) {
    if (seat.pair.load_first(std::memory_order_relaxed) != 0) (void)ring(seat, wake);
  }
}

/// Shuts the gate if no seat is taken.
inline void shut_if_empty(Gate& gate, std::span<const Seat> seats) noexcept {
  const std::uint64_t seen = gate.load();
  if (!Gate::is_open(seen)) return;
  for (const Seat& seat : seats) {
    if (seat.pair.load_first(std::memory_order_acquire) != 0) return;
  }
  gate.shut(seen);
}

/// Frees the seats of owners that are gone. @return how many.
template <class Gone>
std::uint32_t reclaim_seats(std::span<Seat> seats, Gone&& gone) noexcept {
  std::uint32_t freed = 0;
  for (Seat& seat : seats) {
    // sync(owner): acquire, as for a permit: the slot of the owner was published before the seat was taken.
    if (seat.pair.load_first(std::memory_order_acquire) == 0) continue;
    Pair seen = seat.load();
    // What was judged is exchanged, so a seat that was taken again meanwhile stays.
    while (Seated::of(seen).taken() ? gone(Seated::of(seen).owner) : seen.first != 0) {
      if (!seat.pair.compare_exchange(seen, {})) continue;
      ++freed;
      break;
    }
  }
  return freed;
}

}  // namespace weir::detail

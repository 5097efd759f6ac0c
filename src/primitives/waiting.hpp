// SPDX-License-Identifier: Apache-2.0
#pragma once

// One waiter: the steps of the protocol in docs/waiting.md, without the sleep between them.
//
// Crash  killed anywhere: a seat that names the dead worker, and perhaps an open gate over an empty queue. A sweep frees
//        the seat, and the next process that looks shuts the gate.
// Stop   stopped anywhere: others go on after a grace. When it goes on, the exchange of its seat tells it whether the
//        seat is still its own.

#include <cstdint>

#include "base/ticks.hpp"
#include "base/word.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"

namespace weir::detail {

/// What the limits say to a waiter.
struct WaiterAnswer {
  enum class Kind : std::uint8_t {
    passes,  ///< the request can be admitted, or has been
    lacks,   ///< it lacks something that may come back
    ends,    ///< waiting does not help
  };
  Kind kind = Kind::passes;
  Lacks what = Lacks::nothing;              ///< if it lacks something
  std::uint64_t until = ~std::uint64_t{0};  ///< ticks at which that is there without a ring
};

class Waiting {
 public:
  enum class Next : std::uint8_t { admitted, ends, lost, sleeps };

  /// For 2 ms a waiter that was rung is waited for.
  static constexpr std::uint64_t kGrace = ticks_from_ns(2'000'000);

  /// Without a seat.
  Waiting() = default;
  /// In a seat that was just taken for `me`. Opens the gate.
  Waiting(Seat& seat, const Seated& me, Gate& gate) noexcept : seat_(&seat), mine_(me.pair()) { gate.open(); }

  [[nodiscard]] explicit operator bool() const noexcept { return seat_ != nullptr; }
  [[nodiscard]] Seat& seat() const noexcept { return *seat_; }
  [[nodiscard]] Seated content() const noexcept { return Seated::of(mine_); }

  /// Looks once, and again as long as what it lacks changes.
  ///
  /// @param needs   what the request needs, whether it lacks it or not.
  /// @param queues  as for first_waiter(): those whose waiters may concern it.
  /// @param limits  limits.decide() admits it or says why not; limits.ask() only says. Both return a WaiterAnswer.
  /// @param clock   the time in ticks.
  /// @return sleeps: sleep while the bell is bell(), and until wake_at() at most, and look again. Otherwise leave().
  template <class Queues, class Limits, class Clock, class Wake>
  [[nodiscard]] Next look(const Wants& needs, const Queues& queues, Limits&& limits, Clock&& clock,
                          Wake&& wake) noexcept {
    for (int looks = 0; looks < kMostLooks; ++looks) {
      bell_ = seat_->bell.load(std::memory_order_acquire);
      const std::uint64_t now = clock();
      if (!refresh(now)) return Next::lost;
      const SeenSeat ahead = first_ahead(needs, queues, now);
      const WaiterAnswer answer = ahead ? limits.ask() : limits.decide();
      if (answer.kind == WaiterAnswer::Kind::ends) return Next::ends;
      if (answer.kind == WaiterAnswer::Kind::passes) {
        if (!ahead) return Next::admitted;
        if (!let_go_first(ahead, now, wake)) continue;
        wake_at_ = grace_ends_;
        return Next::sleeps;
      }
      wake_at_ = answer.until;
      const Lacks before = content().lacks.what;
      if (answer.what == before) return Next::sleeps;
      if (!now_lacks(answer.what)) return Next::lost;
      if (const Lacks not_any_more = before & ~answer.what; not_any_more != Lacks::nothing)
        ring_next(queues, {not_any_more, needs.block, needs.user}, now, wake, seat_);
    }
    wake_at_ = clock() + kGrace;
    return Next::sleeps;
  }

  /// The bell as it was before the last look.
  [[nodiscard]] std::uint64_t bell() const noexcept { return bell_; }
  /// When to look again if nobody rings; ~0: no such time is known.
  [[nodiscard]] std::uint64_t wake_at() const noexcept { return wake_at_; }

  /// Frees the seat, if it is still this waiter's. Afterwards ring whom that concerns, and shut_if_empty().
  void leave() noexcept {
    Pair seen = mine_;
    while (!seat_->pair.compare_exchange(seen, {})) {
      if (!is_mine(seen)) break;
    }
    seat_ = nullptr;
    exchange_before_load();
  }

 private:
  /// What it lacks may change at every look, if others are quick. After so many it sleeps for a moment.
  static constexpr int kMostLooks = 16;

  /// Others only change whether the waiter is absent.
  [[nodiscard]] bool is_mine(Pair seen) const noexcept {
    Seated as_left = Seated::of(seen);
    as_left.absent = content().absent;
    return as_left.pair() == mine_;
  }

  [[nodiscard]] bool exchange(const Seated& next) noexcept {
    Pair seen = mine_;
    while (!seat_->pair.compare_exchange(seen, next.pair())) {
      if (!is_mine(seen)) return false;
    }
    mine_ = next.pair();
    exchange_before_load();
    return true;
  }
  [[nodiscard]] bool refresh(std::uint64_t now) noexcept {
    Seated next = content();
    next.beat = Seated::beat_at(now);
    next.absent = false;
    return exchange(next);
  }
  [[nodiscard]] bool now_lacks(Lacks what) noexcept {
    Seated next = content();
    next.lacks.what = what;
    return exchange(next);
  }

  template <class Queues>
  [[nodiscard]] SeenSeat first_ahead(const Wants& needs, const Queues& queues,
                                     std::uint64_t now) const noexcept {
    const SeenSeat first = first_waiter(queues, {needs, now, false, seat_});
    return first && first.key < own_key(queues, now) ? first : SeenSeat{};
  }
  template <class Queues>
  [[nodiscard]] WaitingKey own_key(const Queues& queues, std::uint64_t now) const noexcept {
    WaitingKey key{~std::uint64_t{0}};
    queues([&](const WaitingQueue& queue) {
      if (!queue.has(*seat_)) return;
      const auto number = static_cast<std::uint64_t>(seat_ - queue.seats().data());
      key = WaitingQueue::Now(queue, now).key(content().urgency, content().arrival, number);
    });
    return key;
  }

  /// Rings a waiter that goes first and waits for it, but only once.
  /// @return false: it has had its grace, and did not answer. It is marked absent.
  template <class Wake>
  [[nodiscard]] bool let_go_first(const SeenSeat& ahead, std::uint64_t now, Wake&& wake) noexcept {
    if (ahead.seat != rung_ || !(ahead.pair == rung_pair_)) {
      rung_ = ahead.seat;
      rung_pair_ = ahead.pair;
      grace_ends_ = now + kGrace;
      (void)ring(*ahead.seat, wake);
      return true;
    }
    if (now < grace_ends_) return true;
    Seated absent = Seated::of(ahead.pair);
    absent.absent = true;
    (void)ahead.seat->pair.replace(ahead.pair, absent.pair());
    rung_ = nullptr;
    return false;
  }

  Seat* seat_ = nullptr;
  Pair mine_;
  std::uint64_t bell_ = 0;
  std::uint64_t wake_at_ = 0;
  // Which waiter it has rung and now waits for.
  Seat* rung_ = nullptr;
  Pair rung_pair_;
  std::uint64_t grace_ends_ = 0;
};

}  // namespace weir::detail

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

  /// For 2 ms a waiter that was asked is waited for.
  static constexpr std::uint64_t kGrace = ticks_from_ns(2'000'000);

  static constexpr std::uint64_t kNoAlarm = ~std::uint64_t{0};

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
      const bool passes = answer.kind == WaiterAnswer::Kind::passes;
      if (passes && !ahead) return Next::admitted;
      // What others go first for, it lacks, too.
      const Lacks lacks = passes ? Seated::of(ahead.pair).lacks.in_common(needs) : answer.what;
      const Lacks before = content().lacks.what;
      if (lacks != before) {
        if (!now_lacks(lacks)) return Next::lost;
        ring_each(queues, {before & ~lacks, needs.block, needs.user}, now, wake, seat_);
        continue;
      }
      if (passes) {
        if (let_go_first(ahead, now, wake)) return Next::sleeps;
        continue;
      }
      asked_ = nullptr;
      // The next one sets its alarm when the first one has gone, and has rung it.
      wake_at_ = ahead ? kNoAlarm : answer.until;
      return Next::sleeps;
    }
    wake_at_ = clock() + kGrace;
    return Next::sleeps;
  }

  /// The bell as it was before the last look.
  [[nodiscard]] std::uint64_t bell() const noexcept { return bell_; }
  /// When to look again if no ring comes before; kNoAlarm: no such time is known.
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
  /// Others may change what it lacks between any two looks. After this number of looks it sleeps for a moment.
  static constexpr int kMostLooks = 16;

  /// Others only change whether the waiter is asked or absent.
  [[nodiscard]] bool is_mine(Pair seen) const noexcept {
    Seated as_left = Seated::of(seen);
    as_left.asked = false;
    as_left.absent = false;
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
    return exchange(next);  // it is neither asked nor absent any more
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

  /// Asks a waiter that goes first to look, and waits for it.
  /// @return false: it has had its grace, and did not look. It is marked absent.
  template <class Wake>
  [[nodiscard]] bool let_go_first(const SeenSeat& ahead, std::uint64_t now, Wake&& wake) noexcept {
    Seated asked = Seated::of(ahead.pair);
    const bool known = ahead.seat == asked_ && ahead.pair.first == asked_pair_.first;
    if (known && !asked.asked) {
      // It has looked, and does not find all that it needs. It is not asked again before our next slice ends.
      asked_ = nullptr;
      wake_at_ = kNoAlarm;
      return true;
    }
    if (!asked.asked) {
      asked.asked = true;
      if (!ahead.seat->pair.replace(ahead.pair, asked.pair())) return false;  // it has just looked, or left
    }
    // The grace begins when it is asked, however often others ring it meanwhile. Only a look ends its being asked. If
    // another process has asked it, that one may have been killed before it rang.
    if (!known || asked.pair() != asked_pair_) {
      asked_ = ahead.seat;
      asked_pair_ = asked.pair();
      grace_ends_ = now + kGrace;
      (void)ring(*ahead.seat, wake);
    }
    wake_at_ = grace_ends_;
    if (now < grace_ends_) return true;
    asked.absent = true;
    (void)ahead.seat->pair.replace(asked_pair_, asked.pair());
    asked_ = nullptr;
    return false;
  }

  Seat* seat_ = nullptr;
  Pair mine_;
  std::uint64_t bell_ = 0;
  std::uint64_t wake_at_ = 0;
  // Which waiter was asked to look, and how its seat looks until it does.
  Seat* asked_ = nullptr;
  Pair asked_pair_;
  std::uint64_t grace_ends_ = 0;
};

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A circuit breaker: one state word, counts that say when to trip, and probes that say when to close.
//
//   state     kind 3 | trips 5 | generation 12 | rest 44     see breaker_phase.hpp
//   failures  generation 12 | in a row 52
//   window    calls, failures, slow calls                    see breaker_window.hpp
//   in flight calls that have not reported yet               see breaker_in_flight.hpp
//   watched   not 0: calls in flight are counted             a hint for unguarded(), from the parameters
//   probes    owned cells                                    see breaker_probes.hpp
//
//   closed     -> open       a report finds that a threshold is reached; or a look or an admission finds that
//                            too many calls are overdue
//   open       -> half-open  an admission finds that the recovery time is over
//   half-open  -> closed     the last of the required good probes reports;   -> open  a bad probe reports
//   any        -> any        set()
//
// Every transition is one compare-exchange of the state word that also starts a generation, and the caller
// whose exchange it was is told. A transition changes nothing else: counts name their generation, and counts
// of another generation are treated as zero. An outcome counts in the generation that admitted it or not at
// all.
//
// Overdue  with a slow rate, calls that have been out for longer than a slow call takes are added to the
//          calls and the slow calls of the window wherever the slow rate is judged: at a report, and at a
//          look or an admission, because no call reports while all of them hang. They are not part of the
//          failure rate, and count by their outcome when they report. A report first takes its call out of
//          the ring and then counts it: if its process is stopped or killed in between, the call is missing
//          for that long, and is never counted twice.
// Probes   a cell is taken first; then the state is read again, and must still be half-open.
// Good     while half-open, the state word itself counts good probes: counting the last one closes.
// Progress lock-free: a lost compare-exchange means that another call counted or decided something.
// Ordering sync(breaker): an exchange of a count releases and a load of it acquires, so a call that meets a
//          count of a later generation also meets that generation in the state, and leaves the count alone.
//          sync(probes): every transition, and the look at the state after a probe was taken, are sequentially
//          consistent: see breaker_probes.hpp.
//          The state word is complete in itself: a load that only precedes its exchange is relaxed.
// Time     a late `now` refuses for longer; a late report opens for a shorter time.
// Change   a rate lowered by a live change takes effect at the next bad call, or when the next tenth of the
//          window begins.
// Crash    report, after counting: the count stands at its threshold, and the next report of a success or a
//          failure trips; over a window, the next report in the same tenth or the first of another tenth
//          does. After judging a probe: its cell names the dead worker.
//          admit, after a call in flight was counted: it stays in the ring until the ring has moved past it.
//          admit, after the transition: the breaker is half-open with no probe out, so the next call probes.
//          After taking the cell: the cell names the dead worker.
// Damage   a recovery that ends further ahead than any policy allows is treated as over; an unknown kind is
//          treated as closed.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/owner.hpp"
#include "base/ticks.hpp"
#include "base/word.hpp"
#include "primitives/breaker_in_flight.hpp"
#include "primitives/breaker_phase.hpp"
#include "primitives/breaker_probes.hpp"
#include "primitives/breaker_window.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

/// How long a caller without an owner waits when only a probe would pass. A probe needs an owner, by which it is
/// counted, and taken back when its process dies. By then the caller may have found a worker slot.
inline constexpr std::uint64_t kWaitWithoutOwner = ticks_from_ns(10'000'000);

/// What this call itself changed; it is false if the call changed nothing.
struct BreakerTransition {
  bool happened = false;
  BreakerKind from = BreakerKind::closed;
  BreakerKind to = BreakerKind::closed;
  std::uint16_t generation = 0;  ///< which the transition began
  std::uint8_t trips = 0;        ///< trips in a row, this one included; stays at 31
  std::uint64_t until = 0;       ///< for a transition to open: when it will probe, in ticks

  [[nodiscard]] explicit operator bool() const noexcept { return happened; }
};

/// What an admitted call uses to report.
struct BreakerTicket {
  std::uint64_t probe = 0;  ///< the word in its probe cell; 0: not a probe
  std::uint16_t generation = 0;
  std::uint8_t cell = 0;  ///< if it is not a probe: kInFlight, or 0

  /// The value of `cell` for a call that is counted among those in flight.
  static constexpr std::uint8_t kInFlight = 255;

  /// Whether something must be taken back if the call does not take place.
  [[nodiscard]] bool holds_something() const noexcept { return probe != 0 || cell == kInFlight; }
};

struct BreakerAnswer {
  std::uint64_t wait = 0;  ///< ticks to the next probe; 0: passes; kNever: forced open
  bool probe = false;      ///< it would pass as a probe
};

struct BreakerAdmission {
  std::uint64_t wait = 0;  ///< as in BreakerAnswer
  BreakerTicket ticket;
  BreakerTransition transition;

  [[nodiscard]] explicit operator bool() const noexcept { return wait == 0; }
};

struct BreakerReading {
  BreakerKind kind = BreakerKind::closed;
  std::uint16_t generation = 0;
  std::uint8_t trips = 0;
  std::uint64_t wait = 0;         ///< as in BreakerAnswer
  std::uint64_t consecutive = 0;  ///< failures in a row
  BreakerCounts window;           ///< including calls that are overdue
  std::uint32_t overdue = 0;      ///< calls in flight that are already slow
  std::uint32_t probes_out = 0;
  std::uint64_t good_probes = 0;
};

class CircuitBreaker {
 public:
  /// What admit() would return now, if every call passes and calls in flight are not counted. Otherwise it
  /// returns nothing, and the caller must look closer, with check() and the parameters. It costs two loads of
  /// one cache line.
  [[nodiscard]] std::optional<BreakerTicket> unguarded() const noexcept {
    const std::uint64_t word = state_.load(std::memory_order_relaxed);
    if (BreakerPhase::guarded(word) || watched_.load(std::memory_order_relaxed) != 0) return std::nullopt;
    return BreakerTicket{0, static_cast<std::uint16_t>(BreakerPhase::generation_of(word)), 0};
  }

  /// Says whether the parameters have a slow rate; call it before they change.
  void watch(bool slow_rate) noexcept { watched_.store(slow_rate ? 1 : 0, std::memory_order_relaxed); }

  /// Whether a call would pass now. It only loads, except when it finds too many calls overdue: then it
  /// trips.
  [[nodiscard]] BreakerAnswer check(const BreakerParams& params, std::uint64_t now) noexcept {
    return check(params, now, [](const BreakerTransition&) {});
  }
  /// @param tripped  is called with the transition if this call trips.
  template <class Tripped>
  [[nodiscard]] BreakerAnswer check(const BreakerParams& params, std::uint64_t now,
                                    Tripped&& tripped) noexcept {
    if (params.slow_rate != 0) {
      if (const BreakerTransition done = trip_if_overdue(params, now)) [[unlikely]]
        tripped(done);
    }
    const std::uint64_t word = state_.load(std::memory_order_relaxed);
    return BreakerPhase::guarded(word) ? look(params, BreakerPhase::unpack(word), now) : BreakerAnswer{};
  }

  /// Lets a call through or refuses it. A call that passed must report() with its ticket, whatever its
  /// outcome.
  [[nodiscard]] BreakerAdmission admit(const BreakerParams& params, std::uint64_t now, Owner owner) noexcept {
    const BreakerTransition tripped =
        params.slow_rate != 0 ? trip_if_overdue(params, now) : BreakerTransition{};
    BreakerAdmission answer = admit_checked(params, now, owner);
    if (tripped) answer.transition = tripped;
    return answer;
  }

  /// The same for a caller that has called check() with the same `now`, so that no further call can be overdue.
  [[nodiscard]] BreakerAdmission admit_checked(const BreakerParams& params, std::uint64_t now,
                                               Owner owner) noexcept {
    const std::uint64_t word = state_.load(std::memory_order_relaxed);
    BreakerAdmission answer;
    if (BreakerPhase::guarded(word)) {
      answer = admit_guarded(params, now, owner);
    } else {
      answer.ticket.generation = static_cast<std::uint16_t>(BreakerPhase::generation_of(word));
    }
    if (answer && answer.ticket.probe == 0 && params.slow_rate != 0) begin_call(params, now, answer.ticket);
    return answer;
  }

  /// Reports the outcome of an admitted call. `ignored` counts nothing and gives a probe's cell back.
  BreakerTransition report(const BreakerParams& params, BreakerTicket ticket, BreakerOutcome outcome,
                           std::uint64_t duration, std::uint64_t now) noexcept {
    const bool failure = outcome == BreakerOutcome::failure;
    const bool slow = params.slow_rate != 0 && duration > params.slow_call;
    if (ticket.probe != 0) return report_probe(params, ticket, outcome, failure || slow, now);
    if (ticket.cell == BreakerTicket::kInFlight) {
      in_flight_.end(BreakerInFlight::epochs(params), ticket.generation, now - std::min(duration, now));
    }
    // crash here: the call is never counted.
    if (outcome == BreakerOutcome::ignored) return {};
    bool due = params.consecutive != 0 && count_in_a_row(params, ticket.generation, failure);
    // crash here, or anywhere before the trip: see Crash above.
    if (windowed(params)) due |= count_in_window(params, ticket.generation, failure, slow, now);
    return due ? trip(params, ticket.generation, now) : BreakerTransition{};
  }

  /// Sets the state as an operator decides. This starts a generation: all counts are zero, and calls in
  /// flight do not count. After `open` or `half_open` the next call probes.
  BreakerTransition set(BreakerKind kind) noexcept {
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    for (;;) {
      const BreakerPhase phase = BreakerPhase::unpack(word);
      const BreakerPhase next = phase.then(kind, 0, 0);
      if (move(word, next)) return transition(phase, next);
    }
  }

  /// What had been counted before a transition, for people: it may be overwritten by later generations. Without a window
  /// only failures in a row were.
  [[nodiscard]] BreakerCounts counted_before(const BreakerParams& params, const BreakerTransition& transition,
                                             std::uint64_t now) const noexcept {
    const std::uint64_t generation =
        (transition.generation - std::uint64_t{1}) & BreakerPhase::kGenerationMask;
    BreakerCounts counts;
    if (windowed(params)) counts = window_.counts(epochs(params), generation, now);
    const std::uint32_t late = overdue(params, generation, now);
    counts.calls += late;
    counts.slow += late;
    if (!windowed(params)) counts.failures = static_cast<std::uint32_t>(in_a_row(generation));
    return counts;
  }

  /// Closes the breaker, as if it had never been used. Also needed when the window's parameters change,
  /// because the old counts would mean something else.
  BreakerTransition reset() noexcept { return set(BreakerKind::closed); }

  /// Frees the probes of owners that are gone. @return how many were freed.
  template <class Gone>
  std::uint32_t reclaim(Gone&& gone) noexcept {
    return probes_.reclaim(gone);
  }

  /// Failures in a row, if they were counted in this generation.
  [[nodiscard]] std::uint64_t in_a_row(std::uint64_t generation) const noexcept {
    return in_a_row(failures_.load(std::memory_order_relaxed), generation);
  }

  /// Whether a success ends no row of failures, of whatever generation. One load.
  [[nodiscard]] bool nothing_in_a_row() const noexcept {
    return (failures_.load(std::memory_order_relaxed) & kCountMask) == 0;
  }

  /// Meant for people. It only loads; each number is right, but they may be of different moments.
  [[nodiscard]] BreakerReading status(const BreakerParams& params, std::uint64_t now) const noexcept {
    const BreakerPhase phase = BreakerPhase::unpack(state_.load(std::memory_order_relaxed));
    const std::uint64_t failures = failures_.load(std::memory_order_relaxed);
    BreakerReading status;
    status.kind = phase.kind;
    status.generation = static_cast<std::uint16_t>(phase.generation);
    status.trips = static_cast<std::uint8_t>(phase.trips);
    status.wait = look(params, phase, now).wait;
    status.consecutive = in_a_row(failures, phase.generation);
    if (windowed(params)) status.window = window_.counts(epochs(params), phase.generation, now);
    status.overdue = overdue(params, phase.generation, now);
    status.window.calls += status.overdue;
    status.window.slow += status.overdue;
    status.probes_out = probes_.out(now);
    status.good_probes = phase.kind == BreakerKind::half_open ? phase.rest : 0;
    return status;
  }

 private:
  static constexpr unsigned kCountBits = 52;
  static constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;

  // Failures in a row, if they were counted in this generation.
  [[nodiscard]] static std::uint64_t in_a_row(std::uint64_t word, std::uint64_t generation) noexcept {
    return word >> kCountBits == generation ? word & kCountMask : 0;
  }

  /// Whether outcomes of `generation` count. The load is relaxed, because it follows a look at a count:
  /// sync(breaker).
  [[nodiscard]] bool counts(std::uint64_t generation) const noexcept {
    return BreakerPhase::unpack(state_.load(std::memory_order_relaxed)).counts(generation);
  }

  [[nodiscard]] static bool windowed(const BreakerParams& params) noexcept {
    return (params.failure_rate | params.slow_rate) != 0;
  }
  [[nodiscard]] static BreakerEpochs epochs(const BreakerParams& params) noexcept {
    return params.window != 0 ? BreakerWindow::by_time(params.window)
                              : BreakerWindow::by_calls(params.window_calls);
  }

  [[nodiscard]] bool move(std::uint64_t& seen, BreakerPhase next) noexcept {
    // sync(probes): seq_cst; pairs with BreakerProbes::fits().
    return state_.compare_exchange(seen, next.pack(), std::memory_order_seq_cst, std::memory_order_relaxed);
  }
  [[nodiscard]] static BreakerTransition transition(BreakerPhase from, BreakerPhase to) noexcept {
    return {true,
            from.kind,
            to.kind,
            static_cast<std::uint16_t>(to.generation),
            static_cast<std::uint8_t>(to.trips),
            to.kind == BreakerKind::open ? to.rest << breaker_time::kUnitShift : 0};
  }
  [[nodiscard]] static BreakerPhase tripped(BreakerPhase phase, const BreakerParams& params,
                                            std::uint64_t now) noexcept {
    const std::uint64_t trips = std::min(phase.trips + 1, BreakerPhase::kMaxTrips);
    const std::uint64_t ticks = breaker_time::recovery(params, trips, phase.generation);
    return phase.then(BreakerKind::open, trips, breaker_time::end_of_recovery(now, ticks));
  }

  /// check() for a state that may refuse.
  [[nodiscard]] BreakerAnswer look(const BreakerParams& params, BreakerPhase phase,
                                   std::uint64_t now) const noexcept {
    if (phase.passes()) return {};
    if (phase.kind == BreakerKind::forced_open) return {kNever, false};
    if (phase.kind == BreakerKind::open) {
      if (const std::uint64_t wait = breaker_time::left(phase.rest, now); wait != 0) return {wait, false};
    }
    const std::uint64_t wait = probes_.wait(params, now);
    return {wait, wait == 0};
  }

  /// admit() for a state that may refuse.
  BreakerAdmission admit_guarded(const BreakerParams& params, std::uint64_t now, Owner owner) noexcept {
    BreakerAdmission answer;
    for (;;) {
      // sync(probes): acquire; pairs with move(), so BreakerProbes::fits() looks at the cells after the
      // transition that is seen here.
      std::uint64_t word = state_.load(std::memory_order_acquire);
      const BreakerPhase phase = BreakerPhase::unpack(word);
      answer.ticket.generation = static_cast<std::uint16_t>(phase.generation);
      // If the breaker is half-open, taking a cell is the look.
      answer.wait = phase.kind != BreakerKind::half_open ? look(params, phase, now).wait : 0;
      if (answer.wait != 0 || phase.passes()) return answer;
      if (!owner) {
        answer.wait = kWaitWithoutOwner;
        return answer;
      }
      if (phase.kind == BreakerKind::open) {
        const BreakerPhase next = phase.then(BreakerKind::half_open, phase.trips, 0);
        // Report at most one transition per call. A complete trip happened in between, so leave the probe to
        // the next call.
        if (answer.transition) {
          answer.wait = 1;
          return answer;
        }
        if (move(word, next)) answer.transition = transition(phase, next);
        // crash here: the breaker is half-open, and no probe is out.
        continue;
      }
      const BreakerProbes::Taken taken = probes_.take(params, now, owner);
      answer.wait = taken.wait;
      if (answer.wait != 0) return answer;
      // crash here: the cell names the dead worker.
      if (half_open(phase.generation)) {
        answer.ticket.probe = taken.word;
        answer.ticket.cell = taken.cell;
        return answer;
      }
      probes_.give_back(taken.cell, taken.word);
    }
  }

  [[nodiscard]] bool half_open(std::uint64_t generation) const noexcept {
    // sync(probes): seq_cst, after the cell was taken; pairs with move().
    const BreakerPhase phase = BreakerPhase::unpack(state_.load(std::memory_order_seq_cst));
    return phase.kind == BreakerKind::half_open && phase.generation == generation;
  }

  /// A probe that reports after its deadline is ignored.
  BreakerTransition report_probe(const BreakerParams& params, BreakerTicket ticket, BreakerOutcome outcome,
                                 bool bad, std::uint64_t now) noexcept {
    BreakerTransition done;
    if (probes_.has(ticket.cell, ticket.probe, now) && outcome != BreakerOutcome::ignored)
      done = judge(params, ticket.generation, bad, now);
    // crash here: the probe was judged once, and the cell names the dead worker.
    probes_.give_back(ticket.cell, ticket.probe);
    return done;
  }

  /// Counts a probe of `generation`, if that generation is still half-open.
  BreakerTransition judge(const BreakerParams& params, std::uint64_t generation, bool bad,
                          std::uint64_t now) noexcept {
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    for (;;) {
      const BreakerPhase phase = BreakerPhase::unpack(word);
      if (phase.kind != BreakerKind::half_open || phase.generation != generation) return {};
      BreakerPhase next = phase;
      if (bad) {
        next = tripped(phase, params, now);
      } else if (phase.rest + 1 >= params.successes) {
        next = phase.then(BreakerKind::closed, 0, 0);
      } else {
        ++next.rest;
      }
      if (!move(word, next)) continue;
      return next.kind != phase.kind ? transition(phase, next) : BreakerTransition{};
    }
  }

  /// @return whether there are enough failures in a row to trip, even if the process that counted the last
  /// one was killed.
  bool count_in_a_row(const BreakerParams& params, std::uint64_t generation, bool failure) noexcept {
    // sync(breaker): acquire; pairs with the exchange below.
    std::uint64_t seen = failures_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint64_t count = in_a_row(seen, generation);
      if (!failure && count == 0) return false;
      // relaxed: whatever a later generation counted was seen by the load of `failures_` or by its failed
      // exchange.
      const BreakerPhase phase = BreakerPhase::unpack(state_.load(std::memory_order_relaxed));
      if (!phase.counts(generation)) return false;
      if (count >= params.consecutive && phase.kind == BreakerKind::closed) return true;
      const std::uint64_t next = generation << kCountBits | (failure ? (count + 1) & kCountMask : 0);
      if (!failures_.compare_exchange(seen, next, std::memory_order_acq_rel, std::memory_order_acquire)) {
        continue;
      }
      return failure && count + 1 >= params.consecutive;
    }
  }

  /// @return whether a rate over the window is reached. It is not inlined, because without a window a report
  /// is only a few loads.
  [[gnu::noinline]] bool count_in_window(const BreakerParams& params, std::uint64_t generation, bool failure,
                                         bool slow, std::uint64_t now) noexcept {
    const bool look = window_.count(epochs(params), generation, now, failure, slow, params.minimum_calls,
                                    [&] { return counts(generation); });
    if (!look) return false;
    return rate_reached(params, generation, now);
  }

  /// Whether a rate is reached over the window and the calls that are overdue.
  [[nodiscard]] bool rate_reached(const BreakerParams& params, std::uint64_t generation,
                                  std::uint64_t now) const noexcept {
    const BreakerCounts counts = window_.counts(epochs(params), generation, now);
    const std::uint32_t late = overdue(params, generation, now);
    const auto reached = [&](std::uint32_t count, std::uint32_t calls, std::uint32_t rate) {
      return rate != 0 && calls >= std::max(params.minimum_calls, 1U) &&
             std::uint64_t{count} * 10'000 >= std::uint64_t{rate} * calls;
    };
    return reached(counts.failures, counts.calls, params.failure_rate) ||
           reached(counts.slow + late, counts.calls + late, params.slow_rate);
  }

  [[nodiscard]] std::uint32_t overdue(const BreakerParams& params, std::uint64_t generation,
                                      std::uint64_t now) const noexcept {
    return params.slow_rate != 0 ? in_flight_.overdue(params, generation, now) : 0;
  }

  /// It is not inlined, because breakers without a slow rate do not call it.
  [[gnu::noinline]] BreakerTransition trip_if_overdue(const BreakerParams& params,
                                                      std::uint64_t now) noexcept {
    const BreakerPhase phase = BreakerPhase::unpack(state_.load(std::memory_order_relaxed));
    if (phase.kind != BreakerKind::closed || overdue(params, phase.generation, now) == 0) return {};
    if (!rate_reached(params, phase.generation, now)) return {};
    return trip(params, phase.generation, now);
  }

  [[gnu::noinline]] void begin_call(const BreakerParams& params, std::uint64_t now,
                                    BreakerTicket& ticket) noexcept {
    const bool counted = in_flight_.begin(BreakerInFlight::epochs(params), ticket.generation, now,
                                          [&] { return counts(ticket.generation); });
    if (counted) ticket.cell = BreakerTicket::kInFlight;
    // crash here: see breaker_in_flight.hpp.
  }

  /// Trips `generation`, if it is still closed. However many callers find that it is due, one exchange does
  /// it.
  BreakerTransition trip(const BreakerParams& params, std::uint64_t generation, std::uint64_t now) noexcept {
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    for (;;) {
      const BreakerPhase phase = BreakerPhase::unpack(word);
      if (phase.kind != BreakerKind::closed || phase.generation != generation) return {};
      const BreakerPhase next = tripped(phase, params, now);
      if (move(word, next)) return transition(phase, next);
    }
  }

  // Each has a cache line of its own, because they are written at different times: the state is only read
  // while all is well.
  alignas(kCacheLine) Word state_;
  Word watched_;
  alignas(kCacheLine) Word failures_;
  alignas(kCacheLine) BreakerProbes probes_;
  alignas(kCacheLine) BreakerInFlight in_flight_;
  alignas(kCacheLine) BreakerWindow window_;
};
static_assert(sizeof(CircuitBreaker) == 23 * kCacheLine);

}  // namespace weir::detail

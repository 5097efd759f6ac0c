// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of circuit breakers share: names, times, the usual parameters, and a breaker with the calls that
// are out.

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <initializer_list>
#include <string>

#include "base/owner.hpp"
#include "base/ticks.hpp"
#include "primitives/breaker.hpp"

namespace weir::test {

using detail::BreakerAdmission;
using detail::BreakerAnswer;
using detail::BreakerCounts;
using detail::BreakerKind;
using detail::BreakerOutcome;
using detail::BreakerParams;
using detail::BreakerReading;
using detail::BreakerTicket;
using detail::BreakerTransition;
using detail::CircuitBreaker;
using detail::Owner;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

inline constexpr BreakerKind kClosed = BreakerKind::closed;
inline constexpr BreakerKind kOpen = BreakerKind::open;
inline constexpr BreakerKind kHalfOpen = BreakerKind::half_open;

// Times in ticks, for tests that decide at a few moments only.
inline constexpr std::uint64_t kSecond = detail::ticks_from_ns(1'000'000'000);
inline constexpr std::uint64_t kNow = 100 * kSecond;

inline constexpr Owner kAlice(0, 1);
inline constexpr Owner kBob(4094, 255);

constexpr std::uint64_t at(nanoseconds time) {
  return detail::ticks_from_ns(static_cast<std::uint64_t>(time.count()));
}

// The end of a recovery is rounded down to 2^20 ticks, and the deadline of a probe up: a wait may be that much
// shorter, or longer.
inline constexpr std::uint64_t kUnit = std::uint64_t{1} << detail::breaker_time::kUnitShift;
inline ::testing::AssertionResult lies_within(std::uint64_t wait, std::uint64_t least, std::uint64_t most) {
  if (wait >= least && wait <= most) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "waits " << detail::ns_from_ticks(wait) << " ns, not " << detail::ns_from_ticks(least) << " to "
         << detail::ns_from_ticks(most);
}
inline ::testing::AssertionResult is_recovery(std::uint64_t wait, nanoseconds expected) {
  return lies_within(wait, at(expected) - kUnit + 1, at(expected));
}
inline ::testing::AssertionResult is_probe_timeout(std::uint64_t wait, nanoseconds expected) {
  return lies_within(wait, at(expected), at(expected) + kUnit - 1);
}

inline constexpr BreakerParams kThreeInARow{
    .consecutive = 3, .probes = 1, .successes = 1, .recovery = at(30s), .probe_timeout = at(10s)};

inline constexpr BreakerParams kHalfOfTenSeconds{.failure_rate = 5'000,
                                                 .minimum_calls = 10,
                                                 .window = at(10s),
                                                 .recovery = at(30s),
                                                 .probe_timeout = at(10s)};

/// A breaker with its parameters and the tickets that are out, oldest first.
struct BreakerHost {
  explicit BreakerHost(BreakerParams with) : params(with) {}

  std::uint64_t admit(nanoseconds now, Owner owner = kAlice) {
    const BreakerAnswer expected = breaker.check(params, at(now));
    const BreakerAdmission admission = breaker.admit(params, at(now), owner);
    EXPECT_EQ(admission.wait, expected.wait) << "check() and admit() disagree at " << now.count();
    EXPECT_EQ(admission.ticket.probe != 0, expected.probe);
    last = admission.transition;
    if (admission) tickets.push_back(admission.ticket);
    return admission.wait;
  }
  void report(nanoseconds now, BreakerOutcome outcome, nanoseconds took = 0ns) {
    ASSERT_FALSE(tickets.empty());
    const BreakerTicket ticket = tickets.front();
    tickets.pop_front();
    last = breaker.report(params, ticket, outcome, at(took), at(now));
  }
  void call(nanoseconds now, BreakerOutcome outcome, nanoseconds took = 0ns) {
    ASSERT_EQ(admit(now - took), 0U) << "at " << now.count();
    report(now, outcome, took);
  }
  void trip(nanoseconds now) {
    for (int i = 0; i < 1000 && kind(now) == BreakerKind::closed; ++i) call(now, BreakerOutcome::failure);
    ASSERT_EQ(kind(now), BreakerKind::open);
  }
  [[nodiscard]] BreakerReading status(nanoseconds now) const { return breaker.status(params, at(now)); }
  [[nodiscard]] BreakerKind kind(nanoseconds now) const { return status(now).kind; }
  [[nodiscard]] std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> image() const {
    std::array<std::uint64_t, sizeof(CircuitBreaker) / 8> words{};
    std::memcpy(words.data(), static_cast<const void*>(&breaker), sizeof breaker);
    return words;
  }

  BreakerParams params;
  CircuitBreaker breaker;
  std::deque<BreakerTicket> tickets;
  BreakerTransition last;
};

enum class Do { call, admit, report };

/// One step of a timeline: a complete call, an admission, or the report of the oldest call that is out.
struct BreakerStep {
  nanoseconds time;
  Do what;
  BreakerOutcome outcome;
  BreakerKind after;
  nanoseconds wait = 0ns;  // after a refusal
};

inline void expect_timeline(BreakerParams params, std::initializer_list<BreakerStep> steps) {
  BreakerHost host(params);
  for (const BreakerStep& step : steps) {
    SCOPED_TRACE("at " + std::to_string(step.time / 1ms) + " ms");
    const BreakerKind before = host.kind(step.time);
    if (step.wait != 0ns) {
      const auto image = host.image();
      const std::uint64_t wait = host.admit(step.time);
      EXPECT_TRUE(step.after == BreakerKind::open ? is_recovery(wait, step.wait)
                                                  : is_probe_timeout(wait, step.wait));
      EXPECT_EQ(host.image(), image) << "a refusal wrote";
    } else if (step.what == Do::report) {
      host.report(step.time, step.outcome);
    } else {
      ASSERT_EQ(host.admit(step.time), 0U);
      if (step.what == Do::call) host.report(step.time, step.outcome);
    }
    EXPECT_EQ(host.kind(step.time), step.after);
    if (host.last && step.what != Do::call) {
      EXPECT_EQ(host.last.from, before);
      EXPECT_EQ(host.last.to, step.after);
    }
  }
}

}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0

// One breaker, 64 processes at once.

#include "primitives/breaker.hpp"

#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <sched.h>
#include <signal.h>
#include <vector>

#include "support/breakers.hpp"
#include "support/child.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kWorkers = 64;
constexpr std::chrono::seconds kLimit{60};

struct Shared {
  CircuitBreaker breaker;
  std::atomic<std::uint32_t> ready{0};
  std::atomic<std::uint32_t> round{0};
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> passed{0};
  std::atomic<std::uint32_t> moved{0};
};

class BreakerStress : public ::testing::Test {
 protected:
  // Runs `work(worker)` in 64 processes that start together.
  void together(const std::function<void(std::uint32_t)>& work) {
    shared_->ready = 0;
    std::vector<std::unique_ptr<Child>> children;
    for (std::uint32_t w = 0; w < kWorkers; ++w) {
      children.push_back(std::make_unique<Child>([&, w] {
        ++shared_->ready;
        while (shared_->ready < kWorkers) ::sched_yield();
        work(w);
      }));
    }
    for (auto& child : children) {
      ASSERT_TRUE(child->ends_within(kLimit));
      EXPECT_EQ(child->failure(), "");
    }
  }

  SharedObject<Shared> shared_;
};

TEST_F(BreakerStress, OpensAfterNFailuresInTotalAndIsTrippedByOneProcess) {
  constexpr std::uint32_t each = 20'000;
  const BreakerParams params{
      .consecutive = kWorkers * each, .recovery = 30 * kSecond, .probe_timeout = kSecond};
  together([&](std::uint32_t worker) {
    for (std::uint32_t i = worker == 0 ? 1 : 0; i < each; ++i) {  // one failure fewer than needed in total
      const auto done = shared_->breaker.report(params, {}, BreakerOutcome::failure, 0, kNow);
      ASSERT_FALSE(done) << "opened too early";
    }
  });
  EXPECT_EQ(shared_->breaker.status(params, kNow).kind, BreakerKind::closed);
  EXPECT_EQ(shared_->breaker.status(params, kNow).consecutive, kWorkers * each - 1) << "a failure was lost";
  together([&](std::uint32_t) {
    if (shared_->breaker.report(params, {}, BreakerOutcome::failure, 0, kNow)) ++shared_->moved;
  });
  EXPECT_EQ(shared_->moved, 1U);
  EXPECT_EQ(shared_->breaker.status(params, kNow).kind, BreakerKind::open);
  EXPECT_EQ(shared_->breaker.status(params, kNow).trips, 1);
}

// It trips, probes and closes all the time. Each transition is reported once, so the number of reports is its
// generation.
TEST_F(BreakerStress, ReportsEachTransitionOnceAndKeepsItsProbesUnderLoad) {
  constexpr std::uint32_t each = 20'000;
  constexpr std::uint64_t now = std::uint64_t{1}
                                << 45;  // a whole unit: without recovery, open is over at once
  BreakerParams params{.consecutive = 3, .recovery = 0, .probe_timeout = 1'000 * kSecond};
  params.probes = 2;
  params.successes = 2;
  together([&](std::uint32_t worker) {
    std::mt19937 random(worker);
    std::uint32_t told = 0;
    for (std::uint32_t i = 0; i < each; ++i) {
      const BreakerAdmission admission = shared_->breaker.admit(params, now, Owner(worker, 1));
      told += admission.transition ? 1 : 0;
      if (!admission) continue;
      const bool probe = admission.ticket.probe != 0;
      ASSERT_TRUE(!probe || ++shared_->passed <= params.probes) << "too many probes are out";
      if (random() % 256 == 0) ::sched_yield();
      if (probe) --shared_->passed;
      const auto outcome = random() % 2 == 0 ? BreakerOutcome::failure : BreakerOutcome::success;
      told += shared_->breaker.report(params, admission.ticket, outcome, 0, now) ? 1 : 0;
    }
    shared_->moved += told;
  });
  EXPECT_GT(shared_->moved, 1'000U) << "there were hardly any transitions";
  EXPECT_EQ(shared_->moved % 4096, shared_->breaker.status(params, now).generation);
  EXPECT_EQ(shared_->breaker.status(params, now).probes_out, 0U) << "a cell is lost";
}

TEST_F(BreakerStress, CountsEveryOutcomeOfAWindow) {
  for (const bool by_time : {true, false}) {
    const BreakerParams params{.failure_rate = 10'000,
                               .minimum_calls = kWorkers * 1'000,
                               .window_calls = by_time ? 0 : kWorkers * 1'000,
                               .window = by_time ? 10 * kSecond : 0,
                               .recovery = kSecond,
                               .probe_timeout = kSecond};
    (void)shared_->breaker.reset();
    const BreakerTicket ticket = shared_->breaker.admit(params, kNow, Owner(0, 1)).ticket;
    together([&](std::uint32_t worker) {
      for (std::uint32_t i = 0; i < 1'000; ++i) {
        const auto outcome = i % 4 == 0 ? BreakerOutcome::failure : BreakerOutcome::success;
        const std::uint64_t now = kNow + (i + worker) % 1'000 * (9 * kSecond / 1'000);  // own clocks
        EXPECT_FALSE(shared_->breaker.report(params, ticket, outcome, 0, now));
      }
    });
    EXPECT_EQ(shared_->breaker.status(params, kNow + 9 * kSecond).window,
              (BreakerCounts{kWorkers * 1'000, kWorkers * 250, 0}));
  }
}

// In each round all processes come at the moment at which it may probe.
TEST_F(BreakerStress, LetsExactlyTheAllowedNumberOfProbesThroughOnTheWholeHost) {
  constexpr std::uint32_t rounds = 200;
  BreakerParams params{.consecutive = 1, .recovery = kSecond, .probe_timeout = 10 * kSecond};
  params.probes = 5;
  params.successes = 5;
  const auto later = [](std::uint32_t round) { return kNow + std::uint64_t{round} * 20 * kSecond; };
  (void)shared_->breaker.set(BreakerKind::open);
  together([&](std::uint32_t worker) {
    for (std::uint32_t round = 0; round < rounds; ++round) {
      while (shared_->round < round) ::sched_yield();
      const std::uint64_t now = later(round);
      const BreakerAdmission admission = shared_->breaker.admit(params, now, Owner(worker, 1));
      if (admission) ++shared_->passed;
      if (admission.transition) ++shared_->moved;
      if (++shared_->done == kWorkers) {  // the last process checks, and starts the next round
        EXPECT_EQ(shared_->passed, params.probes) << "round " << round;
        EXPECT_EQ(shared_->moved, 1U) << "round " << round;
        EXPECT_EQ(shared_->breaker.status(params, now).probes_out, params.probes);
        (void)shared_->breaker.set(
            BreakerKind::open);  // no probe reports: their cells are free at the deadline
        shared_->passed = shared_->moved = shared_->done = 0;
        ++shared_->round;
      }
    }
  });
}

// Probers are killed while they probe: the process that sweeps gets their cells, and the breaker closes.
TEST_F(BreakerStress, ClosesAlthoughItsProbersAreKilled) {
  BreakerParams params{.consecutive = 1, .recovery = kSecond, .probe_timeout = 1'000 * kSecond};
  params.probes = 4;
  params.successes = 8;
  (void)shared_->breaker.set(BreakerKind::open);
  std::vector<std::unique_ptr<Child>> children;
  for (std::uint32_t w = 0; w < 4; ++w) {
    children.push_back(std::make_unique<Child>([&, w] {
      if (shared_->breaker.admit(params, kNow, Owner(w, 1))) ++shared_->passed;
      ++shared_->ready;
      for (;;) ::sched_yield();
    }));
  }
  while (shared_->ready < 4) ::sched_yield();
  EXPECT_EQ(shared_->passed, 4U);
  EXPECT_FALSE(shared_->breaker.admit(params, kNow, Owner(9, 1)));
  for (auto& child : children) child->kill();
  EXPECT_EQ(shared_->breaker.reclaim([](Owner owner) { return owner.slot() < 4; }), 4U);
  for (std::uint32_t good = 1; good <= params.successes; ++good) {
    const BreakerAdmission next = shared_->breaker.admit(params, kNow, Owner(9, 1));
    ASSERT_TRUE(next);
    const auto done = shared_->breaker.report(params, next.ticket, BreakerOutcome::success, 0, kNow);
    EXPECT_EQ(static_cast<bool>(done), good == params.successes);
  }
  EXPECT_EQ(shared_->breaker.status(params, kNow).kind, BreakerKind::closed);
}

}  // namespace
}  // namespace weir::test

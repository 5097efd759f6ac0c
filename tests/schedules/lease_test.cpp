// SPDX-License-Identifier: Apache-2.0

// Leases under every interleaving and kill: a process that is stopped or killed anywhere with tokens in hand, while
// time passes and others spend all that there is.

#include "primitives/lease.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Lease;
using detail::LeasedBucket;
using detail::LeaseTerms;
using detail::TokenBucket;
using detail::TokenBucketParams;
using detail::Word;
using ::testing::HasSubstr;

constexpr std::uint64_t kInterval = std::uint64_t{1} << 22;
constexpr TokenBucketParams kRate{.emission_interval = kInterval, .burst = 6};
// A lease of four tokens, which are earned in its length.
constexpr LeaseTerms kTerms{.length = 4 * kInterval, .most = 4, .fixed = 0};
constexpr std::uint64_t kStart = 100 * kInterval;

constexpr auto kRelaxed = std::memory_order_relaxed;

struct Admission {
  std::uint64_t began;
  std::uint64_t ended;
};

/// Planted faults, which show that these schedules would find such.
enum class Fault {
  none,
  spent_after_its_deadline,
  depth_forgets_what_is_out,
  leased_stored_after_the_charge,
};

struct Memory {
  Fault fault = Fault::none;
  Word tat;
  Word leased;
  Word clock{kStart};
  std::array<Lease, 2> leases;  // of two processes
  std::array<Admission, 32> admissions{};
  std::uint64_t admitted = 0;

  [[nodiscard]] LeasedBucket bucket() { return {tat, leased, kRate, kTerms}; }

  /// One request, as a decision makes it.
  bool request(Lease& lease) {
    const std::uint64_t now = clock.load(kRelaxed);
    const std::uint64_t seen = lease.word();
    const bool covered = Lease::covers(seen, fault == Fault::spent_after_its_deadline ? 0 : now, 1);
    if (covered ? !lease.spend(seen, 1) && bucket().admit(now, 1) != 0 : take(lease, now) != 0) return false;
    record(now);
    return true;
  }
  bool request_without_lease() {
    const std::uint64_t now = clock.load(kRelaxed);
    const bool forgets = fault == Fault::depth_forgets_what_is_out;
    if ((forgets ? TokenBucket(tat).admit(kRate, now, 1) : bucket().admit(now, 1)) != 0) return false;
    record(now);
    return true;
  }
  std::uint64_t take(Lease& lease, std::uint64_t now) {
    if (fault != Fault::leased_stored_after_the_charge) return bucket().lease(lease, now, 1);
    if (const std::uint64_t wait = bucket().admit(now, kTerms.most); wait != 0) return wait;
    leased.store(detail::leased_word::beginning(now), kRelaxed);
    lease.add(kTerms.most - 1, now + kTerms.length, now);
    return 0;
  }
  void record(std::uint64_t began) {
    if (admitted < admissions.size()) admissions[admitted] = {began, clock.load(kRelaxed)};
    ++admitted;
  }

  /// Of the requests that began at `from` or later, never more were admitted by `to` than the bucket holds and
  /// earns.
  [[nodiscard]] Complaint above_the_bound() const {
    if (admitted > admissions.size()) return "the test has too little room";
    for (std::uint64_t i = 0; i < admitted; ++i) {
      for (std::uint64_t j = 0; j < admitted; ++j) {
        const std::uint64_t from = admissions[i].began;
        const std::uint64_t to = admissions[j].ended;
        if (to < from) continue;
        std::uint64_t within = 0;
        for (std::uint64_t k = 0; k < admitted; ++k)
          within += admissions[k].began >= from && admissions[k].ended <= to ? 1 : 0;
        if (within > kRate.burst + (to - from) / kInterval)
          return std::to_string(within) + " were admitted from " + std::to_string(from / kInterval) + " to " +
                 std::to_string(to / kInterval);
      }
    }
    return std::nullopt;
  }

  /// Wherever a process was killed: once the leases are over, the next request gives the bucket all its depth back.
  [[nodiscard]] Complaint does_not_come_back() {
    const std::uint64_t later = clock.load(kRelaxed) + 4'000 * kInterval;
    if (bucket().admit(later, kRate.burst) != 0) return "the bucket does not fill again";
    if (leased.load(kRelaxed) != 0) return "the bucket stays leased";
    return std::nullopt;
  }
};

/// Makes both processes lease from their next request on.
void heat(Memory& memory) {
  for (Lease& lease : memory.leases) {
    lease.lost_an_exchange(kTerms, kStart);
    lease.lost_an_exchange(kTerms, kStart);
  }
}

Program declared(Memory& memory) {
  Program program;
  program.shared(memory, "memory")
      .name(memory.tat, "tat")
      .name(memory.leased, "leased")
      .name(memory.clock, "clock");
  program.check([&memory] {
    const Complaint above = memory.above_the_bound();
    return above ? above : memory.does_not_come_back();
  });
  return program;
}

/// A process with a lease, which is stopped or killed anywhere, and others that take all that there is.
Verdict stop_a_leaser(Fault fault, Options options) {
  options.max_preemptions = 4;
  Memory memory;
  memory.fault = fault;
  heat(memory);
  Program program = declared(memory);
  program.process("leaser", [&] {
    for (int i = 0; i < 3; ++i) (void)memory.request(memory.leases[0]);
  });
  // Goes on until the leases are over, and takes all that there is at each moment.
  program.process("others", [&] {
    for (const std::uint64_t passed : {3U, 2'000U}) {
      memory.clock.store(kStart + passed * kInterval, kRelaxed);
      while (memory.request_without_lease()) {
      }
    }
  });
  return explore(program, options);
}

TEST(LeaseSchedules, AStoppedProcessWithALeaseNeverGoesAboveTheBound) {
  const Verdict verdict = stop_a_leaser(Fault::none, {.max_kills = 1, .min_states = 1'000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(LeaseSchedules, ALeaseThatOutlivesItsDeadlineIsFound) {
  EXPECT_THAT(stop_a_leaser(Fault::spent_after_its_deadline, {}).failure, HasSubstr("were admitted from"));
}

TEST(LeaseSchedules, ADepthThatForgetsWhatIsOutIsFound) {
  EXPECT_THAT(stop_a_leaser(Fault::depth_forgets_what_is_out, {}).failure, HasSubstr("were admitted from"));
}

TEST(LeaseSchedules, ALeaseThatIsAnnouncedAfterItsChargeIsFound) {
  const Verdict verdict = stop_a_leaser(Fault::leased_stored_after_the_charge, {});
  EXPECT_THAT(verdict.failure, HasSubstr("were admitted from"));
  EXPECT_THAT(verdict.story, HasSubstr("store     leased"));
}

TEST(LeaseSchedules, TwoProcessesWithLeasesNeverGoAboveTheBound) {
  Memory memory;
  heat(memory);
  Program program = declared(memory);
  program.process("leaser", [&] {
    for (int i = 0; i < 3; ++i) (void)memory.request(memory.leases[0]);
  });
  program.process("other leaser", [&] { (void)memory.request(memory.leases[1]); });
  program.process("time", [&] {
    for (const std::uint64_t passed : {3U, 2'000U}) {
      memory.clock.store(kStart + passed * kInterval, kRelaxed);
      while (memory.request_without_lease()) {
      }
    }
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 2, .min_states = 1'000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Two threads share the lease of their process.
TEST(LeaseSchedules, TwoThreadsWithOneLeaseNeverSpendATokenTwice) {
  Memory memory;
  heat(memory);
  Program program = declared(memory);
  for (const char* const name : {"first", "second"}) {
    program.process(name, [&] {
      for (int i = 0; i < 4; ++i) (void)memory.request(memory.leases[0]);
    });
  }
  program.process("time", [&] { memory.clock.store(kStart + 5 * kInterval, kRelaxed); });
  const Verdict verdict = explore(program, {.max_preemptions = 3, .min_states = 1'000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

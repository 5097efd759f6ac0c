// SPDX-License-Identifier: Apache-2.0

// Leases under every interleaving and kill: a process that is stopped or killed anywhere with tokens in hand, while
// time passes and others spend all that there is.

#include "primitives/lease.hpp"

#include <array>
#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Lease;
using detail::LeasedBucket;
using detail::LeaseTerms;
using detail::TokenBucketParams;
using detail::Word;

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

struct Memory {
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
    if (Lease::covers(seen, now, 1) ? !lease.spend(seen, 1) && bucket().admit(now, 1) != 0
                                    : bucket().lease(lease, now, 1) != 0)
      return false;
    record(now);
    return true;
  }
  bool request_without_lease() {
    const std::uint64_t now = clock.load(kRelaxed);
    if (bucket().admit(now, 1) != 0) return false;
    record(now);
    return true;
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
  program.check([&memory] { return memory.above_the_bound(); });
  return program;
}

TEST(LeaseSchedules, AStoppedProcessWithALeaseNeverGoesAboveTheBound) {
  Memory memory;
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
  const Verdict verdict = explore(program, {.max_kills = 1, .max_preemptions = 4, .min_states = 1'000});
  EXPECT_TRUE(verdict.ok()) << verdict;
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

// SPDX-License-Identifier: Apache-2.0

// The token bucket under every interleaving and kill.

#include "primitives/token_bucket.hpp"

#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::TokenBucket;
using detail::TokenBucketParams;

constexpr TokenBucketParams kTwoAtOnce{.emission_interval = 100, .burst = 2};
constexpr std::uint64_t kNow = 1'000;

TEST(TokenBucketSchedules, ThreeRequestsAtOnceNeverSpendMoreThanTheBurst) {
  struct {
    detail::Word tat;
    std::uint64_t admitted = 0;
  } memory;
  Program program;
  program.shared(memory, "memory").name(memory.tat, "tat");
  for (const char* const name : {"first", "second", "third"}) {
    program.process(
        name, [&] { memory.admitted += TokenBucket(memory.tat).admit(kTwoAtOnce, kNow, 1) == 0 ? 1 : 0; });
  }
  program.invariant([&]() -> Complaint {
    if (memory.admitted > kTwoAtOnce.burst) return "more were admitted than the burst";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 2, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(TokenBucketSchedules, ARefundGivesBackWhatWasSpentAndNoMore) {
  struct {
    detail::Word tat;
    std::uint64_t owed = 0;
  } memory;
  Program program;
  program.shared(memory, "memory").name(memory.tat, "tat");
  program.process("spender",
                  [&] { memory.owed += TokenBucket(memory.tat).admit(kTwoAtOnce, kNow, 1) == 0 ? 1 : 0; });
  program.process("refunder", [&] {
    if (TokenBucket(memory.tat).admit(kTwoAtOnce, kNow, 1) == 0)
      TokenBucket(memory.tat)
          .refund(
              kTwoAtOnce, [] { return kNow; }, 1, kNow);
  });
  program.check([&]() -> Complaint {
    const std::uint64_t debt = detail::gcra::debt(memory.tat.load(std::memory_order_relaxed), kNow);
    if (debt == memory.owed * kTwoAtOnce.emission_interval) return std::nullopt;
    return "the bucket owes " + std::to_string(debt);
  });
  const Verdict verdict = explore(program);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The process is stopped anywhere before it gives back, while time refills the bucket and others spend that.
TEST(TokenBucketSchedules, ALateRefundGivesBackNothingThatTimeHasRefilled) {
  struct {
    detail::Word tat;
    detail::Word clock{kNow};
    std::uint64_t others = 0;
  } memory;
  constexpr std::uint64_t kLater = kNow + 2 * kTwoAtOnce.emission_interval;
  Program program;
  program.shared(memory, "memory").name(memory.tat, "tat").name(memory.clock, "clock");
  program.process("refunder", [&] {
    if (TokenBucket(memory.tat).admit(kTwoAtOnce, kNow, 2) != 0) return;
    TokenBucket(memory.tat)
        .refund(
            kTwoAtOnce, [&] { return memory.clock.load(std::memory_order_relaxed); }, 2, kNow);
  });
  program.process("other", [&] {
    memory.clock.store(kLater, std::memory_order_relaxed);
    while (TokenBucket(memory.tat).admit(kTwoAtOnce, kLater, 1) == 0) ++memory.others;
  });
  program.check([&]() -> Complaint {
    const std::uint64_t left =
        detail::gcra::available(kTwoAtOnce, memory.tat.load(std::memory_order_relaxed), kLater);
    if (memory.others + left > kTwoAtOnce.burst) return "what time has refilled came back once more";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 20});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#include "primitives/token_bucket.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "policy/params.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::uint64_t at(nanoseconds time) {
  return ticks_from_ns(static_cast<std::uint64_t>(time.count()));
}

TokenBucketParams params_of(const Rate& rate) {
  return packed::to_token_bucket(packed::rate(rate));
}

constexpr Rate kOneASecond{1, 1s, 3};  // burst 3

struct Step {
  nanoseconds time;
  std::uint32_t cost;
  nanoseconds wait;  // 0: admitted; -1: never
};

void expect_timeline(const Rate& rate, std::initializer_list<Step> steps) {
  Word word;
  TokenBucket bucket(word);
  for (const Step& step : steps) {
    const std::uint64_t wait = bucket.admit(params_of(rate), at(step.time), step.cost);
    const auto expected = step.wait.count() < 0 ? kNever : at(step.wait);
    EXPECT_EQ(wait, expected) << "at " << step.time.count() << " ns, cost " << step.cost;
  }
}

TEST(TokenBucket, AdmitsABurstThenOneTokenPerInterval) {
  expect_timeline(kOneASecond, {
                                   {10s, 3, 0ms},
                                   {10s, 1, 1000ms},
                                   {10'999ms, 1, 1ms},
                                   {11'000ms, 1, 0ms},
                                   {11'000ms, 1, 1000ms},
                                   {11'000ms, 2, 2000ms},
                                   {14'500ms, 3, 0ms},
                                   {14'500ms, 1, 1000ms},  // the half second above full is not kept
                               });
}

TEST(TokenBucket, NeverAdmitsMoreThanABurstAtOnce) {
  expect_timeline(kOneASecond, {{10s, 4, nanoseconds(-1)}, {10s, 3, 0ms}, {1000s, 4, nanoseconds(-1)}});
}

TEST(TokenBucket, RefusesWithoutWriting) {
  Word word;
  TokenBucket bucket(word);
  ASSERT_EQ(bucket.admit(params_of(kOneASecond), at(10s), 3), 0U);
  const std::uint64_t before = bucket.tat();
  EXPECT_NE(bucket.admit(params_of(kOneASecond), at(10s), 1), 0U);
  EXPECT_EQ(bucket.wait(params_of(kOneASecond), at(11s), 1), 0U);
  EXPECT_EQ(bucket.tat(), before);
}

TEST(TokenBucket, RetryAfterIsExactToTheNanosecond) {
  const Rate rate{7, 3s, 5};  // an interval that is not a whole number of nanoseconds
  std::mt19937_64 random(42);
  for (int round = 0; round < 1000; ++round) {
    Word word;
    TokenBucket bucket(word);
    const std::uint64_t start = at(nanoseconds(1'000'000'000 + random() % 1'000'000'000));
    const auto cost = static_cast<std::uint32_t>(1 + random() % 5);
    std::uint64_t wait = 0;
    while (wait == 0) wait = bucket.admit(params_of(rate), start, cost);
    const std::uint64_t wait_ns = ns_from_ticks(wait);
    EXPECT_NE(bucket.wait(params_of(rate), start + ticks_from_ns(wait_ns - 1), cost), 0U);
    EXPECT_EQ(bucket.admit(params_of(rate), start + ticks_from_ns(wait_ns), cost), 0U);
  }
}

TEST(TokenBucket, ALateClockReadingNeverGivesTokensBack) {
  Word word;
  TokenBucket bucket(word);
  ASSERT_EQ(bucket.admit(params_of(kOneASecond), at(20s), 3), 0U);
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), at(19s), 1),
            at(2s));  // late by 1 s or by 1 h: no token
  EXPECT_NE(bucket.admit(params_of(kOneASecond), at(10s), 3), 0U);
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), at(20s), 1), at(1s));
}

void refund(TokenBucket& bucket, nanoseconds now, std::uint32_t cost, nanoseconds charged_at) {
  bucket.refund(
      params_of(kOneASecond), [&] { return at(now); }, cost, at(charged_at));
}

struct Refund {
  nanoseconds at;
  std::uint32_t left;
};

TEST(TokenBucket, RefundsWhatWasSpentAndNeverMore) {
  Word word;
  TokenBucket bucket(word);
  ASSERT_EQ(bucket.admit(params_of(kOneASecond), at(10s), 2), 0U);
  refund(bucket, 10s, 2, 10s);
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), at(10s), 3), 0U);
  refund(bucket, 100s, 3, 10s);  // time has already refilled it
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), at(100s), 3), 0U);
  refund(bucket, 100s, 1'000'000, 100s);
  EXPECT_EQ(gcra::available(params_of(kOneASecond), bucket.tat(), at(100s)), 3U);
}

TEST(TokenBucket, ARefundGivesBackOnlyWhatTimeHasNotRefilled) {
  for (const Refund& step : std::initializer_list<Refund>{
           {10s, 3},       // at once: all of it
           {11s, 2},       // one token has come back by itself
           {12'500ms, 1},  // half a token came back, and half of one could not be spent
           {13s, 0},       // nothing is owed any more
           {10s + 1h, 0},  // however late it is
           {9s, 3},        // a late clock: the same as at once
       }) {
    Word word;
    TokenBucket bucket(word);
    ASSERT_EQ(bucket.admit(params_of(kOneASecond), at(10s), 3), 0U);
    // Other requests spend whatever has come back before the refund.
    const std::uint64_t now = std::max(at(step.at), at(10s));
    while (bucket.admit(params_of(kOneASecond), now, 1) == 0) {
    }
    refund(bucket, step.at, 3, 10s);
    EXPECT_EQ(gcra::available(params_of(kOneASecond), bucket.tat(), now), step.left)
        << "at " << step.at.count() << " ns";
  }
}

// The oracle is the same bucket without the charges that were ever refunded. However charges and refunds are
// mixed, it never has fewer tokens than the bucket with refunds.
void expect_no_more_through_a_refund(const TokenBucketParams& params) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  struct Charge {
    std::uint64_t at;
    std::uint32_t cost;
    bool refunded;
  };
  for (int round = 0; round < 3'000; ++round) {
    Word word;
    TokenBucket bucket(word);
    std::vector<Charge> charges;
    std::uint64_t now = 1'000'000;
    for (int i = 0; i < 30; ++i) {
      now += random() % 3 == 0 ? random() % 5'000 : random() % 200;
      if (random() % 3 != 0 || charges.empty()) {
        const auto cost = static_cast<std::uint32_t>(1 + random() % 5);
        if (bucket.admit(params, now, cost) == 0) charges.push_back({now, cost, false});
      } else if (Charge& charge = charges[random() % charges.size()]; !charge.refunded) {
        bucket.refund(
            params, [&] { return now; }, charge.cost, charge.at);
        charge.refunded = true;
      }
      Word without;
      for (const Charge& charge : charges) {
        if (!charge.refunded) TokenBucket(without).charge(params, charge.at, charge.cost);
      }
      ASSERT_GE(gcra::debt(params, bucket.tat(), now), gcra::debt(params, TokenBucket(without).tat(), now))
          << "round " << round << ", step " << i;
    }
  }
}

TEST(TokenBucket, ARefundNeverLetsMoreThroughThanNoChargeAtAll) {
  expect_no_more_through_a_refund({.emission_interval = 1000, .burst = 10});
  // Intervals of 7 and 8 ns and a part of them.
  expect_no_more_through_a_refund(
      {.emission_interval = SplitTicks(3).from_parts(23), .burst = 10, .parts = 3});
  expect_no_more_through_a_refund(
      {.emission_interval = SplitTicks(999).from_parts(999), .burst = 10, .parts = 999});
}

TEST(TokenBucket, ReportsHowManyTokensAreLeft) {
  Word word;
  TokenBucket bucket(word);
  const auto left = [&](nanoseconds time) {
    return gcra::available(params_of(kOneASecond), bucket.tat(), at(time));
  };
  EXPECT_EQ(left(10s), 3U);
  ASSERT_EQ(bucket.admit(params_of(kOneASecond), at(10s), 2), 0U);
  EXPECT_EQ(left(10s), 1U);
  EXPECT_EQ(left(10'999ms), 1U);
  EXPECT_EQ(left(11s), 2U);
  EXPECT_EQ(left(9s), 0U);  // a late look sees fewer, never more
}

TEST(TokenBucket, RepairsAWordFromTheFarFuture) {
  const std::uint64_t image = at(11s) + 2 * kMaxDepthTicks + 1;  // further ahead than any policy allows
  Word word(image);
  TokenBucket bucket(word);
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), at(11s), 3), 0U);
  EXPECT_NE(bucket.admit(params_of(kOneASecond), at(11s), 1), 0U) << "it admits one burst only";
}

TEST(TokenBucket, ZeroedMemoryIsAFullBucket) {
  Word word;
  TokenBucket bucket(word);
  EXPECT_EQ(bucket.admit(params_of(kOneASecond), 0, 3), 0U);
  EXPECT_NE(bucket.admit(params_of(kOneASecond), 0, 1), 0U);
}

// The oracle: tokens as a fraction of `period`, refilled by every step of time; ten obvious lines.
class Oracle {
 public:
  explicit Oracle(const Rate& rate) : rate_(rate), level_(capacity()) {}

  bool admit(nanoseconds now, std::uint32_t cost) {
    level_ = std::min(capacity(), level_ + static_cast<Wide>((now - last_).count()) * rate_.count);
    last_ = now;
    const Wide needed = static_cast<Wide>(cost) * static_cast<Wide>(rate_.period.count());
    if (needed > level_) return false;
    level_ -= needed;
    return true;
  }

 private:
  __extension__ using Wide = __int128;
  [[nodiscard]] Wide capacity() const { return static_cast<Wide>(rate_.burst) * rate_.period.count(); }

  Rate rate_;
  nanoseconds last_{0};
  Wide level_;
};

TEST(TokenBucket, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const Rate& rate :
       {Rate{1, 1s, 3}, Rate{30, 1min, 10}, Rate{500, 1h, 500}, Rate{1'000'000, 1s, 50}, Rate{1, 24h, 2},
        Rate{3, 1s, 3}, Rate{7, 1min, 10}, Rate{127, 1s, 5}, Rate{127'000, 1s, 300}}) {
    Word word;
    TokenBucket bucket(word);
    Oracle oracle(rate);
    nanoseconds now{0};
    const auto step = static_cast<std::uint64_t>(rate.period.count()) / rate.count;
    for (int i = 0; i < 20'000; ++i) {
      now += nanoseconds(random() % 4 == 0 ? random() % (4 * step) : random() % 3);
      const auto cost = static_cast<std::uint32_t>(1 + random() % rate.burst);
      ASSERT_EQ(bucket.admit(params_of(rate), at(now), cost) == 0, oracle.admit(now, cost)) << "step " << i;
    }
  }
}

// Parts of a nanosecond, or of up to 64 ns.
const std::initializer_list<Rate> kSplitRates = {{3, 1s, 3},   {7, 1min, 10},   {127, 1s, 5},    {977, 1h, 3},
                                                 {999, 1s, 1}, {8'191, 1s, 20}, {8'190, 1min, 4}};

TEST(TokenBucket, DecidesLikeTheObviousModelAtWholeMilliseconds) {
  std::mt19937_64 random(7);
  for (const Rate& rate : kSplitRates) {
    Word word;
    TokenBucket bucket(word);
    Oracle oracle(rate);
    nanoseconds now{0};
    const auto step = 1 + static_cast<std::uint64_t>(rate.period.count()) / rate.count / 1'000'000;
    for (int i = 0; i < 20'000; ++i) {
      now += 1ms * (random() % 4 == 0 ? random() % (4 * step) : random() % 2);
      const auto cost = static_cast<std::uint32_t>(1 + random() % rate.burst);
      ASSERT_EQ(bucket.admit(params_of(rate), at(now), cost) == 0, oracle.admit(now, cost))
          << rate.count << ", step " << i;
    }
  }
}

TEST(TokenBucket, AdmitsNothingThatTheObviousModelRefuses) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const Rate& rate : kSplitRates) {
    Word word;
    TokenBucket bucket(word);
    Oracle oracle(rate);
    nanoseconds now{0};
    const auto interval = static_cast<std::uint64_t>(rate.period.count()) / rate.count;
    for (int i = 0; i < 20'000; ++i) {
      const auto cost = static_cast<std::uint32_t>(1 + random() % rate.burst);
      const std::uint64_t wait = bucket.admit(params_of(rate), at(now), cost);
      if (wait == 0) {
        ASSERT_TRUE(oracle.admit(now, cost)) << rate.count << ", step " << i;
        now += nanoseconds(random() % 3 == 0 ? random() % (3 * interval) : random() % 200);
        continue;
      }
      now += nanoseconds(ns_from_ticks(wait));
      ASSERT_EQ(bucket.wait(params_of(rate), at(now), cost), 0U) << rate.count << ", step " << i;
    }
  }
}

TEST(TokenBucket, NeverFallsBehindAWholeSecond) {
  Word word;
  TokenBucket bucket(word);
  const TokenBucketParams params = params_of({3, 1s, 3});
  for (int second = 0; second < 100'000; ++second) {
    for (int i = 0; i < 3; ++i) ASSERT_EQ(bucket.admit(params, at(1s * second), 1), 0U) << second;
    ASSERT_EQ(ns_from_ticks(bucket.admit(params, at(1s * second), 1)), 333'333'334U) << second;
  }
}

TEST(TokenBucket, KeepsItsDebtWhenTheRateIsChanged) {
  for (const Rate& before : kSplitRates) {
    for (const Rate& after : {Rate{5, 1min, 100'000}, Rate{1'009, 1s, 100'000}, Rate{10, 1s, 100'000}}) {
      Word word;
      TokenBucket bucket(word);
      for (std::uint32_t i = 0; i < before.burst; ++i) (void)bucket.admit(params_of(before), at(777ns), 1);
      const std::uint64_t then = gcra::debt(params_of(before), bucket.tat(), at(777ns));
      const std::uint64_t now = gcra::debt(params_of(after), bucket.tat(), at(777ns));
      EXPECT_LE(std::max(then, now) - std::min(then, now), at(128ns))
          << before.count << " to " << after.count;
    }
  }
}

double rate_error(const Rate& rate) {
  const double exact = static_cast<double>(rate.period.count()) / static_cast<double>(rate.count);
  const double actual = static_cast<double>(emission_interval(rate)) / 128.0;
  return actual / exact - 1.0;  // >= 0: slower than asked, never faster
}

TEST(TokenBucket, KeepsEveryRateWithinItsError) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t per_second = 1 + random() % 10'000'000;
    const double error = rate_error({per_second, 1s, 1});
    EXPECT_GE(error, 0.0) << per_second;
    EXPECT_LT(error, per_second <= 100'000 ? 1e-6 : 1e-4) << per_second;
  }
  EXPECT_DOUBLE_EQ(rate_error({1, 24h, 1}), 0.0);
  EXPECT_LT(rate_error({10'000'000, 1s, 1}), 1e-4);
}

// An interval error adds up over a long run; the count over a simulated day must still be right.
TEST(TokenBucket, AdmitsTheRateOverALongRunAndNeverMore) {
  for (const Rate& rate : {Rate{99'991, 1s, 1}, Rate{7, 1s, 1}, Rate{3'333'333, 1s, 1}}) {
    Word word;
    TokenBucket bucket(word);
    std::uint64_t admitted = 0;
    for (std::uint64_t now = 0; now < at(1s);) {
      const std::uint64_t wait = bucket.admit(params_of(rate), now, 1);
      admitted += wait == 0 ? 1 : 0;
      now += wait;
    }
    EXPECT_LE(admitted, rate.count + 1);
    EXPECT_GE(static_cast<double>(admitted), static_cast<double>(rate.count) * (1 - 1e-4));
  }
}

}  // namespace
}  // namespace weir::detail

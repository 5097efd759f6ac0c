// SPDX-License-Identifier: Apache-2.0
#include "primitives/lease.hpp"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace weir::detail {
namespace {

constexpr std::uint64_t kUs = ticks_from_ns(1'000);

// A token every 4 us, 3,000 at once: a lease lasts 187 us and has up to 23 tokens.
constexpr TokenBucketParams kHot{.emission_interval = 4 * kUs, .burst = 3'000};
constexpr LeaseTerms kTerms = LeaseTerms::of(kHot);

struct Bucket {
  Word tat;
  Word leased;
  LeasedBucket bucket{tat, leased, kHot, kTerms};

  [[nodiscard]] std::uint32_t available(std::uint64_t now) const {
    const std::uint64_t word = leased.load(std::memory_order_relaxed);
    return gcra::available(kHot, leased_word::judged(tat.load(std::memory_order_relaxed), word, kTerms), now);
  }
};

/// Begins to lease, as after two lost exchanges.
void heat(Lease& lease, std::uint64_t now) {
  lease.lost_an_exchange(kTerms, now);
  lease.lost_an_exchange(kTerms, now);
}

/// A request of a process, as a decision makes it. @return the wait.
std::uint64_t request(Bucket& bucket, Lease& lease, std::uint64_t now, std::uint32_t cost = 1) {
  if (const std::uint64_t seen = lease.word(); Lease::covers(seen, now, cost)) {
    EXPECT_TRUE(lease.spend(seen, cost));
    return 0;
  }
  return lease.size(kTerms) == 0 ? bucket.bucket.admit(now, cost) : bucket.bucket.lease(lease, now, cost);
}

/// How many requests the bucket admits one after the other without a lease.
std::uint32_t admitted_at_once(Bucket& bucket, std::uint64_t now) {
  std::uint32_t count = 0;
  while (bucket.bucket.admit(now, 1) == 0) ++count;
  return count;
}

TEST(LeaseTerms, AreNothingForASmallBurstOrASlowRate) {
  EXPECT_EQ(LeaseTerms::of({.emission_interval = 4 * kUs, .burst = 100}).most, 0U);
  EXPECT_EQ(LeaseTerms::of({.emission_interval = 1'000'000 * kUs, .burst = 100'000}).most, 0U);
  EXPECT_NE(kTerms.most, 0U);
}

TEST(LeaseTerms, OfAFixedSizeAreWithinWhatTheRateAllows) {
  constexpr TokenBucketParams kSlow{.emission_interval = 1'000 * kUs,
                                    .burst = 1'000};  // 10 ms earn 10 tokens
  EXPECT_FALSE(LeaseTerms::of(kSlow).any());
  EXPECT_EQ(LeaseTerms::of(kSlow, 4).fixed, 4U);
  EXPECT_EQ(LeaseTerms::of(kSlow, 400).fixed, LeaseTerms::most_of(kSlow));
  EXPECT_EQ(LeaseTerms::most_of(kSlow), 5U);
  EXPECT_FALSE(LeaseTerms::of({.emission_interval = kUs, .burst = 64}, 4).any());
}

TEST(Lease, OfAFixedSizeIsTakenByTheFirstRequest) {
  constexpr LeaseTerms kFixed = LeaseTerms::of(kHot, 5);
  Word tat;
  Word leased;
  Lease lease;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(LeasedBucket(tat, leased, kHot, kFixed).lease(lease, kUs, 1), 0U);
    EXPECT_EQ(lease.left(kUs), 4U);
    EXPECT_TRUE(lease.spend(lease.word(), 4));
  }
  EXPECT_EQ(leased_word::tokens(leased.load(std::memory_order_relaxed), kUs), 15U);
}

TEST(Lease, IsSpentWithoutASharedWord) {
  Bucket bucket;
  Lease lease;
  heat(lease, kUs);
  ASSERT_EQ(request(bucket, lease, kUs), 0U);
  const std::uint64_t tat = bucket.tat.load(std::memory_order_relaxed);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(request(bucket, lease, kUs), 0U);
  EXPECT_EQ(bucket.tat.load(std::memory_order_relaxed), tat);
  EXPECT_EQ(request(bucket, lease, kUs), 0U);
  EXPECT_NE(bucket.tat.load(std::memory_order_relaxed), tat) << "the lease of 8 was used up";
}

TEST(Lease, IsVoidAfterItsLength) {
  Bucket bucket;
  Lease lease;
  heat(lease, kUs);
  ASSERT_EQ(request(bucket, lease, kUs), 0U);
  EXPECT_TRUE(Lease::covers(lease.word(), kUs, 7));
  EXPECT_FALSE(Lease::covers(lease.word(), kUs + kTerms.length, 1));
}

TEST(Lease, GivesTokensThatAreLeftNoLongerLife) {
  Lease lease;
  lease.add(3, 1'000 * kUs, kUs);
  lease.add(5, 2'000 * kUs, kUs);
  EXPECT_TRUE(Lease::covers(lease.word(), 999 * kUs, 8));
  EXPECT_FALSE(Lease::covers(lease.word(), 1'000 * kUs, 1));
  lease.add(5, 3'000 * kUs, 1'500 * kUs);
  EXPECT_TRUE(Lease::covers(lease.word(), 2'999 * kUs, 5)) << "what is void does not shorten it";
  EXPECT_FALSE(Lease::covers(lease.word(), 2'999 * kUs, 6));
}

TEST(Lease, GrowsWhileItIsUsedUpAndEndsWhenItIsNot) {
  Bucket bucket;
  Lease lease;
  std::uint64_t now = kUs;
  heat(lease, now);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(request(bucket, lease, now), 0U);
  EXPECT_EQ(lease.size(kTerms), kTerms.most);
  for (int i = 0; i < 10; ++i) {
    now += 2 * kTerms.length;
    ASSERT_EQ(request(bucket, lease, now), 0U);
  }
  EXPECT_EQ(lease.size(kTerms), 0U);
}

TEST(LeasedBucket, AdmitsItsBurstAtOnceWhileItWasNotLeased) {
  Bucket bucket;
  EXPECT_EQ(admitted_at_once(bucket, kUs), kHot.burst);
}

TEST(LeasedBucket, AdmitsItsBurstAtOnceAgainOnceTheLeasesAreOver) {
  Bucket bucket;
  Lease lease;
  heat(lease, kUs);
  ASSERT_EQ(request(bucket, lease, kUs), 0U);
  EXPECT_LT(bucket.available(kUs), kHot.burst - 8);
  const std::uint64_t later = ticks_from_ns(40'000'000);
  ASSERT_EQ(bucket.bucket.admit(later, 1), 0U);  // sees that they are over
  EXPECT_EQ(bucket.leased.load(std::memory_order_relaxed), 0U);
  EXPECT_EQ(1 + admitted_at_once(bucket, later), kHot.burst);
}

TEST(LeasedBucket, StillAdmitsARequestOfTheWholeBurst) {
  Bucket bucket;
  Lease lease;
  heat(lease, kUs);
  ASSERT_EQ(request(bucket, lease, kUs), 0U);
  const std::uint64_t wait = bucket.bucket.admit(2 * kUs, kHot.burst);
  ASSERT_NE(wait, kNever);
  EXPECT_NE(bucket.bucket.admit(2 * kUs + wait - 1, kHot.burst), 0U);
  EXPECT_EQ(bucket.bucket.admit(2 * kUs + wait, kHot.burst), 0U);
}

TEST(LeasedBucket, RefusesWithoutWriting) {
  Bucket bucket;
  Lease lease;
  heat(lease, kUs);
  while (request(bucket, lease, kUs) == 0) {
  }
  const std::uint64_t tat = bucket.tat.load(std::memory_order_relaxed);
  const std::uint64_t leased = bucket.leased.load(std::memory_order_relaxed);
  EXPECT_NE(request(bucket, lease, kUs), 0U);
  EXPECT_EQ(bucket.tat.load(std::memory_order_relaxed), tat);
  EXPECT_EQ(bucket.leased.load(std::memory_order_relaxed), leased);
}

// The oracle: of all requests that began at `from` or later and were admitted by `to`, there are never more than
// one bucket holds and earns in that time.
class Bound {
 public:
  void admitted(std::uint64_t began, std::uint64_t ended, std::uint32_t cost) {
    admissions_.push_back({began, ended, cost});
  }
  [[nodiscard]] std::string complaint() const {
    std::set<std::uint64_t> begins;
    for (const Admission& one : admissions_) begins.insert(one.began);
    for (const std::uint64_t from : begins) {
      std::uint64_t spent = 0;
      for (const Admission& one : admissions_) {  // in the order of their ends
        if (one.began < from) continue;
        spent += one.cost * kHot.emission_interval;
        if (spent > kHot.depth() + one.ended - from)
          return "from " + std::to_string(from) + " to " + std::to_string(one.ended) + ": " +
                 std::to_string(spent / kHot.emission_interval);
      }
    }
    return {};
  }

 private:
  struct Admission {
    std::uint64_t began;
    std::uint64_t ended;
    std::uint32_t cost;
  };
  std::vector<Admission> admissions_;
};

struct Worker {
  Lease lease;
  std::uint64_t began = 0;  // what the clock said to a worker that was then stopped; 0: none is
};

// Requests of any cost, by workers that are killed with a lease, or stopped after they have read the clock.
TEST(LeasedBucket, IsNeverAboveTheBoundOfOneBucket) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto one_in = [&](unsigned n) { return random() % n == 0; };
  std::uint64_t leased = 0;
  for (int round = 0; round < 400; ++round) {
    Bucket bucket;
    Bound bound;
    std::array<std::unique_ptr<Worker>, 4> workers;
    for (auto& worker : workers) worker = std::make_unique<Worker>();
    std::uint64_t now = 1'000 * kUs;
    const bool greedy = one_in(2);
    for (int i = 0; i < 1'500; ++i) {
      if (one_in(greedy ? 40 : 4)) now += random() % (one_in(10) ? 4 * kTerms.length : kTerms.length / 8);
      if (one_in(300)) now += random() % (2 * kHot.depth());
      auto& killed = workers[random() % 4];
      if (one_in(200)) killed = std::make_unique<Worker>();
      Worker& worker = *workers[random() % 4];
      if (one_in(20)) heat(worker.lease, now);
      if (worker.began == 0) worker.began = now;
      if (one_in(15)) continue;  // stopped
      const auto cost =
          static_cast<std::uint32_t>(one_in(8) ? 1 + random() % (one_in(8) ? kHot.burst : 400) : 1);
      leased += Lease::covers(worker.lease.word(), worker.began, cost) ? 1 : 0;
      if (request(bucket, worker.lease, worker.began, cost) == 0) bound.admitted(worker.began, now, cost);
      worker.began = 0;
    }
    ASSERT_EQ(bound.complaint(), "") << "round " << round;
  }
  EXPECT_GT(leased, 10'000U) << "the test does not lease";
}

// The hardest case for the bound: tokens are leased while nobody else spends, and spent just before they are void,
// when others begin to spend all that there is, until the leases are long over.
TEST(LeasedBucket, IsNotAboveTheBoundWhenLeasesAreSpentAtTheirEnd) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return low + random() % (high - low + 1);
  };
  for (int round = 0; round < 200; ++round) {
    Bucket bucket;
    Bound bound;
    std::uint64_t now = 1'000 * kUs;
    const auto spend = [&](Lease& lease, std::uint32_t cost) {
      const bool admitted = request(bucket, lease, now, cost) == 0;
      if (admitted) bound.admitted(now, now, cost);
      return admitted;
    };
    const auto spend_what_is_there = [&](Lease& lease) {
      for (const std::uint32_t cost : {1'000U, 100U, 10U, 1U}) {
        while (spend(lease, cost)) {
        }
      }
    };
    std::vector<std::unique_ptr<Lease>> leases;
    for (std::uint64_t i = between(1, 7); i > 0; --i) {
      Lease& lease = *leases.emplace_back(std::make_unique<Lease>());
      heat(lease, now);
      ASSERT_TRUE(spend(lease, 1));
    }
    now += between(kTerms.length / 2, kTerms.length);
    for (auto& lease : leases) {  // some of them take more to what they have left
      if (random() % 4 != 0) continue;
      while (Lease::covers(lease->word(), now, 4)) ASSERT_TRUE(spend(*lease, 1));
      (void)spend(*lease, 4);
    }
    if (random() % 2 == 0) now += between(0, kTerms.length);
    Lease none;
    for (auto& lease : leases) {
      while (Lease::covers(lease->word(), now, 1)) ASSERT_TRUE(spend(*lease, 1));
    }
    for (std::uint64_t i = between(1, 200); i > 0; --i) {
      spend_what_is_there(none);
      now += between(0, kTerms.length / 4);
      Lease last;
      if (random() % 8 == 0) {
        heat(last, now);
        spend_what_is_there(last);
      }
    }
    now = bucket.tat.load(std::memory_order_relaxed) + between(0, 2 * kTerms.length);
    spend_what_is_there(none);
    ASSERT_EQ(bound.complaint(), "") << "round " << round;
  }
}

}  // namespace
}  // namespace weir::detail

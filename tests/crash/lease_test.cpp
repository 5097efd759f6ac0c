// SPDX-License-Identifier: Apache-2.0

// A leased bucket of a process that was killed while it took, counted or ended a lease.

#include "primitives/lease.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::Lease;
using detail::LeasedBucket;
using detail::LeaseTerms;
using detail::ticks_from_ns;
using detail::TokenBucketParams;
using detail::Word;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A token every 100 us, 3,200 at once: a lease lasts 5 ms and has up to 25 tokens.
constexpr std::uint64_t kInterval = ticks_from_ns(100'000);
constexpr TokenBucketParams kRate{.emission_interval = kInterval, .burst = 3'200};
constexpr std::uint32_t kLeased = 20;
constexpr LeaseTerms kTerms = LeaseTerms::of(kRate, kLeased);
static_assert(kTerms.fixed == kLeased && kTerms.length / kInterval == 49);
constexpr std::uint64_t kNow = ticks_from_ns(1'000'000'000);
/// When the leases are over and the bucket is full again, by far.
constexpr std::uint64_t kLater = kNow + ticks_from_ns(10'000'000'000);

struct Shared {
  Word tat;
  Word leased;

  [[nodiscard]] LeasedBucket bucket() { return {tat, leased, kRate, kTerms}; }
};

class LeaseCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }

  [[nodiscard]] std::uint32_t admitted_at(std::uint64_t now) {
    std::uint32_t count = 0;
    while (shared_->bucket().admit(now, 1) == 0) ++count;
    return count;
  }
  void expect_the_whole_burst_later() {
    EXPECT_EQ(shared_->bucket().admit(kLater, 1), 0u);
    EXPECT_EQ(shared_->leased.load(std::memory_order_relaxed), 0u) << "the bucket stays leased";
    EXPECT_EQ(admitted_at(kLater), kRate.burst - 1);
  }

  SharedObject<Shared> shared_;
};

// The memory goes through four states: before, leased, charged, counted.
TEST_F(LeaseCrash, KilledWhileItTakesALeaseABusyBucketLosesTheLeaseAtMost) {
  ASSERT_EQ(shared_->bucket().admit(kNow, 1'000), 0u);
  const CrashImages crash = crash_images(shared_.bytes(), [&] {
    Lease lease;
    EXPECT_EQ(shared_->bucket().lease(lease, kNow, 1), 0u);
  });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(4));
  const auto failures = for_each_image(crash, shared_.bytes(), [&](const Image&) {
    constexpr std::uint32_t kLeft = kRate.burst - 1'000;
    constexpr std::uint32_t kKeptBack = 50;  // while the bucket is leased: what its length earns, rounded up
    const bool leased = shared_->leased.load(std::memory_order_relaxed) != 0;
    const std::uint32_t others = admitted_at(kNow);
    EXPECT_LE(others, leased ? kLeft - kKeptBack : kLeft);
    EXPECT_GE(others, kLeft - kKeptBack - kLeased);
    expect_the_whole_burst_later();
  });
  EXPECT_THAT(failures, IsEmpty());
}

// Wherever the first process is killed, the tokens that it has taken are not given to another one.
TEST_F(LeaseCrash, KilledWhileItTakesALeaseAnotherProcessMayLease) {
  const CrashImages crash = crash_images(shared_.bytes(), [&] {
    Lease lease;
    EXPECT_EQ(shared_->bucket().lease(lease, kNow, 1), 0u);
  });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(4));
  const auto failures = for_each_image(crash, shared_.bytes(), [&](const Image& image) {
    Lease lease;
    std::uint32_t all = image.instruction != 0 ? 1 : 0;  // what the killed process may have admitted
    const std::uint64_t last = kNow + kTerms.length / 2;
    for (const std::uint64_t now : {kNow, last}) {
      for (bool more = true; more;) {
        const std::uint64_t seen = lease.word();
        more =
            Lease::covers(seen, now, 1) ? lease.spend(seen, 1) : shared_->bucket().lease(lease, now, 1) == 0;
        all += more ? 1 : 0;
      }
    }
    EXPECT_LE(all, kRate.burst + (last - kNow) / kInterval);
    expect_the_whole_burst_later();
  });
  EXPECT_THAT(failures, IsEmpty());
}

// The memory goes through three states: before, charged, no longer leased.
TEST_F(LeaseCrash, KilledWhileItEndsTheLeasesTheNextRequestEndsThem) {
  {
    Lease lease;
    ASSERT_EQ(shared_->bucket().lease(lease, kNow, 1), 0u);
  }
  const CrashImages crash = crash_images(shared_.bytes(), [&] {
    EXPECT_EQ(shared_->bucket().admit(kLater - ticks_from_ns(5'000'000'000), 1), 0u);
  });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3));
  const auto failures =
      for_each_image(crash, shared_.bytes(), [&](const Image&) { expect_the_whole_burst_later(); });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0

// The token bucket of a process that was killed inside an operation.

#include "primitives/token_bucket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::TokenBucket;
using detail::TokenBucketParams;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr TokenBucketParams kFive{.emission_interval = 100, .burst = 5};
constexpr std::uint64_t kNow = 10'000;

class TokenBucketCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }

  SharedObject<detail::Word> word_;
  TokenBucket bucket_{*word_};
};

TEST_F(TokenBucketCrash, KilledInsideAnAdmitTheTokensAreSpentOrNotNeverHalf) {
  const CrashImages crash = crash_images(word_.bytes(), [&] { (void)bucket_.admit(kFive, kNow, 3); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2));
  const auto failures = for_each_image(crash, word_.bytes(), [&](const Image& image) {
    const bool spent = image.instruction != 0;
    const std::uint32_t left = spent ? 2 : 5;
    EXPECT_EQ(bucket_.admit(kFive, kNow, left), 0u);
    EXPECT_EQ(bucket_.admit(kFive, kNow, 1), kFive.emission_interval);
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(TokenBucketCrash, KilledInsideARefundNothingIsGivenTwice) {
  ASSERT_EQ(bucket_.admit(kFive, kNow, 5), 0u);
  const CrashImages crash = crash_images(word_.bytes(), [&] {
    bucket_.refund(
        kFive, [] { return kNow; }, 2, kNow);
  });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2));
  const auto failures = for_each_image(crash, word_.bytes(), [&](const Image& image) {
    const bool given = image.instruction != 0;
    EXPECT_EQ(detail::gcra::available(kFive, bucket_.tat(), kNow), given ? 2u : 0u);
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

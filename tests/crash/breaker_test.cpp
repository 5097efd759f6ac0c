// SPDX-License-Identifier: Apache-2.0

// The breaker of a process that was killed inside an operation.

#include "primitives/breaker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/breakers.hpp"
#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kLater = kNow + 31 * kSecond;        // it is ready to probe
constexpr std::uint64_t kMuchLater = kLater + 11 * kSecond;  // the cell of a probe is free again
constexpr Owner kDead(0, 1);
constexpr Owner kNext(1, 1);

constexpr BreakerParams kTwoInARow{.consecutive = 2, .recovery = 30 * kSecond, .probe_timeout = 10 * kSecond};
constexpr BreakerParams kTwoOfTwo{.failure_rate = 10'000,
                                  .minimum_calls = 2,
                                  .window = 10 * kSecond,
                                  .recovery = 30 * kSecond,
                                  .probe_timeout = 10 * kSecond};

class BreakerCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }

  void fail(const BreakerParams& params) {
    (void)breaker_->report(params, {}, BreakerOutcome::failure, 0, kNow);
  }
  void trip() {
    for (int i = 0; i < 2; ++i) fail(kTwoInARow);
  }
  [[nodiscard]] BreakerKind kind() const { return breaker_->status(kTwoInARow, kLater).kind; }

  SharedObject<CircuitBreaker> breaker_;
};

TEST_F(BreakerCrash, IfKilledInsideTheReportThatTripsTheNextReportCompletesIt) {
  fail(kTwoInARow);
  const CrashImages crash = crash_images(breaker_.bytes(), [&] { fail(kTwoInARow); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3)) << "before, counted, open";
  for (const BreakerOutcome next : {BreakerOutcome::success, BreakerOutcome::failure}) {
    std::size_t seen = 0;
    const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image& image) {
      const bool counted = image.instruction != 0;
      (void)breaker_->report(kTwoInARow, {}, next, 0, kNow);
      const bool open = counted || next == BreakerOutcome::failure;
      EXPECT_EQ(kind(), open ? BreakerKind::open : BreakerKind::closed);
      EXPECT_EQ(breaker_->status(kTwoInARow, kNow).trips, open ? 1 : 0);
      ++seen;
    });
    EXPECT_THAT(failures, IsEmpty());
  }
}

TEST_F(BreakerCrash, KilledInsideAReportOverAWindowTheOutcomeIsCountedOrNotNeverHalf) {
  fail(kTwoOfTwo);
  const CrashImages crash = crash_images(breaker_.bytes(), [&] { fail(kTwoOfTwo); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3)) << "before, counted, open";
  const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image& image) {
    const auto status = breaker_->status(kTwoOfTwo, kNow);
    if (status.kind == BreakerKind::closed) {
      const std::uint32_t counted = image.instruction != 0 ? 2 : 1;
      EXPECT_EQ(status.window, (BreakerCounts{counted, counted, 0}));
      fail(kTwoOfTwo);
    }
    EXPECT_EQ(breaker_->status(kTwoOfTwo, kNow).kind, BreakerKind::open);
    EXPECT_EQ(breaker_->status(kTwoOfTwo, kNow).trips, 1);
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(BreakerCrash, KilledInsideTheProbingAdmissionItDoesNotStayHalfOpen) {
  trip();
  const CrashImages crash =
      crash_images(breaker_.bytes(), [&] { (void)breaker_->admit(kTwoInARow, kLater, kDead); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3)) << "open, half-open, probing";
  for (const bool swept : {false, true}) {
    const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image&) {
      if (swept) breaker_->reclaim([](Owner owner) { return owner == kDead; });
      const std::uint64_t now = swept ? kLater : kMuchLater;
      const BreakerAdmission next = breaker_->admit(kTwoInARow, now, kNext);
      EXPECT_TRUE(next);
      EXPECT_FALSE(breaker_->admit(kTwoInARow, now, kNext)) << "two probes at once";
      EXPECT_EQ(breaker_->report(kTwoInARow, next.ticket, BreakerOutcome::success, 0, now).to,
                BreakerKind::closed);
    });
    EXPECT_THAT(failures, IsEmpty());
  }
}

// The probe is judged before its cell is free: its result is not lost, and counts once.
TEST_F(BreakerCrash, KilledInsideTheReportOfAProbeItIsJudgedOnceOrNotAtAll) {
  BreakerParams params = kTwoInARow;
  params.successes = 2;
  trip();
  const BreakerTicket probe = breaker_->admit(params, kLater, kDead).ticket;
  for (const BreakerOutcome outcome : {BreakerOutcome::success, BreakerOutcome::failure}) {
    const CrashImages crash =
        crash_images(breaker_.bytes(), [&] { (void)breaker_->report(params, probe, outcome, 0, kLater); });
    ASSERT_EQ(crash.error, "");
    EXPECT_THAT(crash.images, SizeIs(3)) << "probing, judged, cell free";
    const std::vector<std::byte> before = crash.images.front().bytes;
    const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image& image) {
      const bool judged = image.instruction != 0;
      const auto status = breaker_->status(params, kLater);
      if (outcome == BreakerOutcome::failure) {
        EXPECT_EQ(status.kind, judged ? BreakerKind::open : BreakerKind::half_open);
        EXPECT_EQ(status.trips, judged ? 2 : 1);
        return;
      }
      EXPECT_EQ(status.good_probes, judged ? 1U : 0U);
      breaker_->reclaim([](Owner owner) { return owner == kDead; });
      for (int missing = judged ? 1 : 2; missing > 0; --missing) {
        const BreakerAdmission next = breaker_->admit(params, kLater, kNext);
        EXPECT_TRUE(next);
        const auto done = breaker_->report(params, next.ticket, BreakerOutcome::success, 0, kLater);
        EXPECT_EQ(static_cast<bool>(done), missing == 1);
      }
      EXPECT_EQ(kind(), BreakerKind::closed);
    });
    EXPECT_THAT(failures, IsEmpty());
    std::copy(before.begin(), before.end(), breaker_.bytes().begin());
  }
}

constexpr BreakerParams kSlow{.slow_rate = 10'000,
                              .minimum_calls = 2,
                              .window = 10 * kSecond,
                              .slow_call = 2 * kSecond,
                              .recovery = 30 * kSecond,
                              .probe_timeout = 10 * kSecond};

// The call that began is in flight or was never counted; a call that never reports is slow once, and then
// forgotten.
TEST_F(BreakerCrash, KilledInsideAnAdmissionThatCountsItsCallItIsInFlightOrNot) {
  (void)breaker_->admit(kSlow, kNow, kNext);
  const CrashImages crash =
      crash_images(breaker_.bytes(), [&] { (void)breaker_->admit(kSlow, kNow, kDead); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2)) << "before, counted";
  const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image& image) {
    const std::uint32_t out = image.instruction != 0 ? 2 : 1;
    EXPECT_EQ(breaker_->status(kSlow, kNow + 3 * kSecond).overdue, out);
    EXPECT_EQ(breaker_->status(kSlow, kNow + 60 * kSecond).overdue, 0U);
    EXPECT_EQ(static_cast<bool>(breaker_->admit(kSlow, kNow + 3 * kSecond, kNext)), out == 1);
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(BreakerCrash, KilledInsideTheReportOfACallInFlightItCountsOnceAtMost) {
  BreakerParams params = kSlow;
  params.minimum_calls = 100;
  const BreakerTicket ticket = breaker_->admit(params, kNow, kDead).ticket;
  const auto report = [&] {
    (void)breaker_->report(params, ticket, BreakerOutcome::failure, 3 * kSecond, kNow + 3 * kSecond);
  };
  const CrashImages crash = crash_images(breaker_.bytes(), report);
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(4)) << "before, taken back, counted, hint";
  const auto failures = for_each_image(crash, breaker_.bytes(), [&](const Image& image) {
    const auto status = breaker_->status(params, kNow + 3 * kSecond);
    const bool hangs = image.instruction == 0;
    const bool lost = image.instruction == crash.images.at(1).instruction;
    EXPECT_EQ(status.overdue, hangs ? 1U : 0U);
    const std::uint32_t counted = lost ? 0 : 1;
    EXPECT_EQ(status.window, (BreakerCounts{counted, hangs ? 0 : counted, counted}));
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

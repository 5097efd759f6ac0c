// SPDX-License-Identifier: Apache-2.0

// The window log of a process that was killed inside an operation.

#include "primitives/window_log.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::WindowLog;
using detail::WindowParams;
using detail::Word;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr WindowParams kThree{.length = detail::ticks_from_ns(1'000), .limit = 3};
constexpr std::uint64_t kNow = detail::ticks_from_ns(10'000);

struct Memory {
  std::array<Word, 3> times;
  Word hint;

  [[nodiscard]] WindowLog log() { return {times, hint}; }
};

class WindowLogCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    for (std::uint64_t i = 0; i < 4; ++i) {  // all of them out of the window
      memory_->log().charge(kThree, kNow - 5 * kThree.length + detail::ticks_from_ns(i), 1);
    }
  }

  // As many requests are admitted as are not counted, the next is refused, and a window later all is
  // forgotten.
  void expect_left(std::uint32_t left) {
    EXPECT_EQ(memory_->log().available(kThree, kNow), left);
    for (std::uint32_t i = 0; i < left; ++i) EXPECT_EQ(memory_->log().admit(kThree, kNow, 1), 0u);
    EXPECT_NE(memory_->log().admit(kThree, kNow, 1), 0u);
    EXPECT_EQ(memory_->log().admit(kThree, kNow + kThree.length * 3 / 2, 3), 0u);
    EXPECT_EQ(memory_->hint.load(std::memory_order_relaxed), std::uint64_t{3} << 32 | 1)
        << "ten times in a ring of three";
  }

  SharedObject<Memory> memory_;
};

TEST_F(WindowLogCrash, KilledInsideAnAdmitItIsCountedOrNotAndTheHintIsMovedLater) {
  const CrashImages crash =
      crash_images(memory_.bytes(), [&] { (void)memory_->log().admit(kThree, kNow, 1); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3));  // before; counted; the hint moved
  const auto failures = for_each_image(
      crash, memory_.bytes(), [&](const Image& image) { expect_left(image.instruction != 0 ? 2 : 3); });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(WindowLogCrash, KilledInsideACostOfTwoAtMostTwoAreCounted) {
  const CrashImages crash =
      crash_images(memory_.bytes(), [&] { (void)memory_->log().admit(kThree, kNow, 2); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(5));
  std::size_t seen = 0;
  for (const Image& image : crash.images) {
    const CrashImages one{{image}, 0, ""};
    const std::uint32_t counted = (static_cast<std::uint32_t>(seen++) + 1) / 2;
    EXPECT_THAT(for_each_image(one, memory_.bytes(), [&](const Image&) { expect_left(3 - counted); }),
                IsEmpty());
  }
}

TEST_F(WindowLogCrash, KilledInsideARefundNothingIsGivenTwice) {
  ASSERT_EQ(memory_->log().admit(kThree, kNow, 3), 0u);
  const CrashImages crash =
      crash_images(memory_.bytes(), [&] { memory_->log().refund(kThree, kNow, 2, kNow); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(3));
  std::uint32_t seen = 0;
  for (const Image& image : crash.images) {
    const CrashImages one{{image}, 0, ""};
    const auto failures = for_each_image(
        one, memory_.bytes(), [&](const Image&) { EXPECT_EQ(memory_->log().available(kThree, kNow), seen); });
    EXPECT_THAT(failures, IsEmpty());
    ++seen;
  }
}

TEST_F(WindowLogCrash, KilledInsideAResetTheOrderIsKept) {
  ASSERT_EQ(memory_->log().admit(kThree, kNow, 2), 0u);
  const CrashImages crash = crash_images(memory_.bytes(), [&] { memory_->log().reset(); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(4));
  const auto failures = for_each_image(crash, memory_.bytes(), [&](const Image&) {
    EXPECT_GE(memory_->log().available(kThree, kNow), 1u);
    memory_->log().reset();
    EXPECT_EQ(memory_->log().admit(kThree, kNow, 3), 0u);
    EXPECT_NE(memory_->log().admit(kThree, kNow, 1), 0u);
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

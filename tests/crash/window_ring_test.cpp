// SPDX-License-Identifier: Apache-2.0

// The window ring of a process that was killed inside an operation.

#include "primitives/window_ring.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::WindowParams;
using detail::WindowRing;
using detail::Word;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kWidth = detail::ring_cell::kMinWidth;
constexpr std::uint32_t kCells = 4;  // a window of three widths touches at most four epochs
constexpr WindowParams kThree{.length = 3 * kWidth, .limit = 3};
constexpr std::uint64_t kNow = 100 * kWidth;

using Cells = std::array<Word, kCells>;

class WindowRingCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    // Every cell has a count, and all are out of the window.
    for (std::uint64_t back = 2UL * kCells - 1; back >= kCells; --back)
      ring().charge(kThree, kNow - back * kWidth, 3);
  }

  [[nodiscard]] WindowRing ring() { return WindowRing(*cells_); }

  // Kills `operation` after each of its changes. @return what is available then: one number per image.
  std::vector<std::uint32_t> left_after(const std::function<void()>& operation) {
    const CrashImages crash = crash_images(cells_.bytes(), operation);
    EXPECT_EQ(crash.error, "");
    const auto failures = for_each_image(crash, cells_.bytes(), [&](const Image&) { expect_it_works(); });
    EXPECT_THAT(failures, IsEmpty());
    std::vector<std::uint32_t> left;
    for (const Image& image : crash.images) {
      std::ranges::copy(image.bytes, cells_.bytes().begin());
      left.push_back(ring().available(kThree, kNow));
    }
    return left;
  }

  // Requests come all the time: no window holds more than the limit, and each following window holds all of
  // it.
  void expect_it_works() {
    const std::uint32_t available = ring().available(kThree, kNow);
    std::vector<std::uint32_t> admitted(3UL * kCells);
    admitted[0] = kThree.limit - available;  // the request that was counted and killed
    for (std::size_t epoch = 0; epoch < admitted.size(); ++epoch) {
      while (ring().admit(kThree, kNow + epoch * kWidth, 1) == 0) ++admitted[epoch];
    }
    for (std::size_t first = 0; first + kCells <= admitted.size(); ++first) {
      const auto window = admitted.begin() + static_cast<std::ptrdiff_t>(first);
      EXPECT_EQ(std::accumulate(window, window + kCells, 0U), kThree.limit) << "from epoch " << first;
    }
  }

  SharedObject<Cells> cells_;
};

TEST_F(WindowRingCrash, KilledInsideAnAdmitItIsCountedOrNotNeverHalf) {
  EXPECT_THAT(left_after([&] { (void)ring().admit(kThree, kNow, 2); }), ElementsAre(3, 1));
}

TEST_F(WindowRingCrash, KilledInsideAnAdmitNoOtherAdmissionOfItsWindowIsForgotten) {
  ring().charge(kThree, kNow - kWidth, 1);
  ring().charge(kThree, kNow, 1);
  const CrashImages crash = crash_images(cells_.bytes(), [&] { (void)ring().admit(kThree, kNow, 1); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2));
  const auto failures = for_each_image(crash, cells_.bytes(), [&](const Image& image) {
    const std::uint32_t left = image.instruction != 0 ? 0 : 1;
    EXPECT_EQ(ring().available(kThree, kNow), left);
    // The admission of the epoch before leaves first, and alone.
    EXPECT_EQ(ring().available(kThree, kNow + 3 * kWidth), left + 1);
    EXPECT_EQ(ring().available(kThree, kNow + 4 * kWidth), 3U);
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(WindowRingCrash, KilledInsideARefusalNothingChanged) {
  ASSERT_EQ(ring().admit(kThree, kNow, 2), 0U);
  EXPECT_THAT(left_after([&] { (void)ring().admit(kThree, kNow, 2); }), ElementsAre(1));
}

TEST_F(WindowRingCrash, KilledInsideAChargeAboveTheLimitItIsCountedOrNot) {
  const CrashImages crash = crash_images(cells_.bytes(), [&] { ring().charge(kThree, kNow, 5); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2));
  const auto failures = for_each_image(crash, cells_.bytes(), [&](const Image& image) {
    const std::uint32_t left = image.instruction != 0 ? 0 : 3;
    EXPECT_EQ(ring().available(kThree, kNow), left);
    EXPECT_EQ(ring().available(kThree, kNow + 3 * kWidth), left) << "still in the window";
    EXPECT_EQ(ring().admit(kThree, kNow + 4 * kWidth, 3), 0U);
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(WindowRingCrash, KilledInsideARefundNothingIsGivenTwice) {
  ASSERT_EQ(ring().admit(kThree, kNow, 3), 0U);
  EXPECT_THAT(left_after([&] { ring().refund(kThree, kNow, 2, kNow); }), ElementsAre(0, 2));
}

TEST_F(WindowRingCrash, KilledInsideAResetEachCellIsForgottenOrNot) {
  ring().charge(kThree, kNow - kWidth, 1);  // the last cell; epoch 100 has the first cell
  ring().charge(kThree, kNow, 2);
  const CrashImages crash = crash_images(cells_.bytes(), [&] { ring().reset(); });
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(1 + kCells));
  const auto failures = for_each_image(crash, cells_.bytes(), [&](const Image& image) {
    const bool first = image.instruction != 0;
    const bool last = image.instruction == crash.images.back().instruction;
    EXPECT_EQ(ring().available(kThree, kNow), last ? 3U : first ? 2U : 0U);
    ring().reset();
    EXPECT_EQ(ring().admit(kThree, kNow, 3), 0U);
    expect_it_works();
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0

// A change that takes out a user's own limits is killed after each store: a refund never gives back what was not
// charged, and the next change makes refunds exact again.

#include "control/limits_begin.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "control/running.hpp"
#include "policy/turn.hpp"
#include "support/crash_images.hpp"
#include "support/segment_name.hpp"

namespace weir::test {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;

constexpr Request kVip{.user = "vip"};
constexpr Request kThreeOfVip{.user = "vip", .cost = 3};

class LimitsBeginCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    Config config = *parse_config(R"(
[segment]
users = 8
workers = 4
[operations.work]
user.rate = "1/day burst 5"
[overrides.users.vip]
rate = "1/day burst 9"
)",
                                  "test");
    config.segment.name = name.str();
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    running.emplace(*detail::RunningSegment::open(name.str()));
  }

  [[nodiscard]] const detail::Sections& sections() const { return running->sections; }
  [[nodiscard]] detail::Word& since() const { return sections().blocks[0].overrides_since; }
  [[nodiscard]] detail::Word& present() const { return sections().blocks[detail::kFirstOverride].present; }
  [[nodiscard]] detail::Word& turn() const { return sections().control->turn; }

  /// The words that the change writes.
  [[nodiscard]] std::vector<std::span<std::byte>> words() const {
    std::vector<std::span<std::byte>> words;
    for (detail::Word* const word : {&turn(), &since(), &present()})
      words.push_back(std::as_writable_bytes(std::span(word, 1)));
    return words;
  }
  /// The whole segment, as this process has mapped it to change it.
  [[nodiscard]] std::span<std::byte> bytes() const {
    const auto& header = running->segment.header();
    auto* const begin = reinterpret_cast<std::byte*>(&sections().control[0]) - header.sections[1].offset;
    return {begin, header.total_bytes};
  }

  int admitted(int asked) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += limiter->admit("work", kVip) ? 1 : 0;
    return count;
  }
  void refund(Admission& admission) { limiter->refund(*limiter->operation("work"), kThreeOfVip, admission); }

  SegmentName name;
  std::optional<Limiter> limiter;
  std::optional<detail::RunningSegment> running;
};

TEST_F(LimitsBeginCrash, WhatWasChargedUnderOwnLimitsIsNeverGivenBackUnderThoseOfAllUsers) {
  const HostClock::time_point before = HostClock::now();
  const CrashImages crash = crash_images(
      bytes(),
      [&] {
        const detail::ChangeOfLimits changing(turn());
        detail::retire_own_limits(*running, std::array{detail::kFirstOverride});
      },
      words());
  ASSERT_EQ(crash.error, "");
  EXPECT_EQ(crash.images.size(), 7U) << "three words of the change, and the turn, three times";
  const auto failures = for_each_image(crash, bytes(), [&](const Image& killed) {
    // The admission must be one of this process: of the image only the words of the change are put back after it.
    std::ranges::copy(crash.images.front().bytes, bytes().begin());
    Admission early = limiter->admit_at(before, *limiter->operation("work"), kThreeOfVip);
    ASSERT_TRUE(early);
    for (const std::span<std::byte> word : words())
      std::copy_n(killed.bytes.begin() + (word.data() - bytes().data()), word.size(), word.begin());

    // Any other change finishes this one.
    const auto next = set_limit(name.str(), "operations.other.rate", "7/s");
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_FALSE(detail::is_being_changed(turn().load(std::memory_order_acquire)));
    EXPECT_NE(since().load(std::memory_order_acquire), detail::Block::kNotYet);

    const bool retired = detail::Presence(present().load(std::memory_order_acquire)).retired();
    const bool untouched = since().load(std::memory_order_acquire) == 0;
    Admission later = limiter->admit("work", kThreeOfVip);
    ASSERT_TRUE(later);
    refund(later);
    EXPECT_EQ(admitted(20), retired ? 5 : 9 - 3) << "all that is charged from now on comes back";
    refund(early);
    // Of three, a part of one was refilled meanwhile; it is whole again as soon as the last call took longer than `later`.
    const bool comes_back = untouched && !retired;
    EXPECT_THAT(admitted(20), AllOf(Ge(comes_back ? 2 : 0), Le(comes_back ? 3 : 0)));
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test

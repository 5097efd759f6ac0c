// SPDX-License-Identifier: Apache-2.0

// Admissions under a cooldown, over all callers and of each user, killed after each change that they make.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/crash_images.hpp"
#include "support/segment_name.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr int kRefusals = 3;

// Where the cooldown lies: among the limits of the operation, or in those of each user.
class CooldownCrash : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    Config config = *parse_config(std::string("[operations.work") + GetParam() +
                                      "]\nrate = \"1/min burst 3\"\n"
                                      "cooldown = { for = \"1h\", refusals = 3 }\n",
                                  "test");
    config.segment.name = name.str();
    config.segment.users = 8;
    config.segment.workers = 4;
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    segment.emplace(
        *detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint));
    const auto sections = *detail::Sections::of(*segment);
    auto* const begin =
        reinterpret_cast<std::byte*>(&sections.control[0]) - segment->header().sections[1].offset;
    bytes = {begin, segment->header().total_bytes};
    ASSERT_TRUE(admit());  // two tokens are left
  }

  Admission admit(std::uint32_t cost = 1) { return limiter->admit("work", {.user = "alice", .cost = cost}); }
  void refuse() { ASSERT_EQ(admit(3).verdict(), Verdict::throttled); }

  // The beginning of each section: the rest is not in use here, and each instruction is followed by a look.
  [[nodiscard]] std::vector<std::span<std::byte>> what_may_change() const {
    constexpr std::size_t kInUse = 8192;
    std::vector<std::span<std::byte>> parts;
    for (const detail::Section& section : segment->header().sections) {
      if (section.count != 0)
        parts.push_back(bytes.subspan(section.offset, std::min(kInUse, section.stride * section.count)));
    }
    return parts;
  }

  // How many refusals it takes until requests that would conform are blocked.
  int refusals_left() {
    for (int count = 0; count <= kRefusals; ++count) {
      const Admission asked = admit(3);
      if (asked.verdict() == Verdict::throttled) continue;
      EXPECT_EQ(asked.verdict(), Verdict::blocked);
      EXPECT_LE(asked.retry_after(), 1h + 2us);
      EXPECT_GT(asked.retry_after(), 59min);
      EXPECT_EQ(admit().verdict(), Verdict::blocked);
      limiter->reset();
      limiter->reset_user("alice");
      EXPECT_TRUE(admit());
      return count;
    }
    ADD_FAILURE() << "refused many times, but not blocked";
    return kRefusals;
  }

  // Kills `operation` after each change. First `before` refusals are left; from some change on, `after`.
  void kill_everywhere(const std::function<void()>& operation, int before, int after) {
    const CrashImages crash = crash_images(bytes, operation, what_may_change());
    ASSERT_EQ(crash.error, "");
    std::cout << "[crash images] " << crash.images.size() << "\n";
    ASSERT_GE(crash.images.size(), 2U);
    const Image* const last = &crash.images.back();
    const auto failures = for_each_image(crash, bytes, [&](const Image& image) {
      const int left = refusals_left();
      if (image.instruction == 0) {
        EXPECT_EQ(left, before);
      }
      if (image.instruction == last->instruction) {
        EXPECT_EQ(left, after);
      }
      EXPECT_TRUE(left == before || left == after) << left;
    });
    EXPECT_THAT(failures, IsEmpty());
  }

  SegmentName name;
  std::optional<Limiter> limiter;
  std::optional<detail::Segment> segment;
  std::span<std::byte> bytes;
};

TEST_P(CooldownCrash, KilledInsideAFirstRefusalItIsCountedOrNot) {
  kill_everywhere([&] { (void)admit(3); }, 3, 2);
}

TEST_P(CooldownCrash, KilledInsideTheRefusalThatBeginsACooldownItIsOnOrOneRefusalAway) {
  refuse();
  refuse();
  kill_everywhere([&] { (void)admit(3); }, 1, 0);
}

TEST_P(CooldownCrash, KilledInsideTheAdmissionThatResetsTheCountItIsResetOrNot) {
  refuse();
  refuse();
  kill_everywhere([&] { (void)admit(); }, 1, 3);
}

TEST_P(CooldownCrash, KilledInsideABlockedAdmissionTheCooldownIsOn) {
  for (int i = 0; i < kRefusals; ++i) refuse();
  const CrashImages crash = crash_images(
      bytes, [&] { EXPECT_EQ(admit().verdict(), Verdict::blocked); }, what_may_change());
  ASSERT_EQ(crash.error, "");
  EXPECT_THAT(for_each_image(crash, bytes, [&](const Image&) { EXPECT_EQ(refusals_left(), 0); }), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Of, CooldownCrash, ::testing::Values("", ".user"), [](const auto& where) {
  return std::string(*where.param == '\0' ? "AllCallers" : "AUser");
});

}  // namespace
}  // namespace weir::test

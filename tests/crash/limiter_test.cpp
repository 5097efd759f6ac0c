// SPDX-License-Identifier: Apache-2.0

// Every public operation that writes is killed after each change that it makes to the segment: a new process
// declares the victim dead, sweeps, and finds every promise kept.

#include "weir/limiter.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "weir/fields.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/crash_images.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr std::uint32_t kPermits = 3;
constexpr std::uint32_t kUserPermits = 2;
constexpr std::uint32_t kTokens = 100;

class LimiterCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    Config config;
    config.segment = {.name = name.str(), .users = 8, .group = {}, .workers = 4};
    config.global.shared.rates = {{1, 24h, kTokens}};
    config.operations["work"].shared.concurrent = kPermits;
    config.operations["work"].user.concurrent = kUserPermits;
    config.operations["work"].user.rates = {{1, 24h, kTokens}};
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    map();
  }
  void TearDown() override {
    if (!bytes.empty()) ::munmap(bytes.data(), bytes.size());
  }

  // Maps the same inode as the limiter, so that the harness sees and restores what the operation writes.
  void map() {
    const int fd = ::open(name.path().c_str(), O_RDWR | O_CLOEXEC);
    struct stat info {};
    ASSERT_EQ(::fstat(fd, &info), 0);
    void* memory =
        ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    ASSERT_NE(memory, MAP_FAILED);
    bytes = {static_cast<std::byte*>(memory), static_cast<std::size_t>(info.st_size)};
  }

  // The beginning of each section: the rest is not in use here, and each instruction is followed by a look.
  std::vector<std::span<std::byte>> what_may_change() {
    constexpr std::size_t kInUse = 8192;
    const auto segment =
        detail::Segment::attach(name.str(), detail::OpenMode::read_only, detail::kAbiFingerprint);
    std::vector<std::span<std::byte>> parts;
    for (const detail::Section& section : segment->header().sections) {
      if (section.count != 0)
        parts.push_back(bytes.subspan(section.offset, std::min(kInUse, section.stride * section.count)));
    }
    return parts;
  }

  Admission admit(std::string_view user = "alice") { return limiter->admit("work", {.user = user}); }

  // After a sweep all permits are free again and `least` to `most` tokens are left, at whatever step a process was
  // killed.
  void expect_whole(std::uint32_t least, std::uint32_t most) {
    limiter->reap();
    const auto snapshot = take_snapshot(name.str());
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    const LimitStatus rate = kSharedLimits.rows(*snapshot).at(0);
    EXPECT_GE(rate.available(), least);
    EXPECT_LE(rate.available(), most);
    EXPECT_EQ(weir::kSharedPermits.rows(*snapshot).at(0).used, 0U);
    EXPECT_EQ(weir::kUserPermits.rows(*snapshot).at(0).used, 0U);
    for (const WorkerStatus& worker : snapshot->workers) EXPECT_FALSE(worker.dead);
    std::vector<Admission> held;
    for (std::uint32_t i = 0; i < kUserPermits; ++i) {
      held.push_back(admit());
      EXPECT_TRUE(held.back()) << "permit " << i << " of alice";
    }
    EXPECT_FALSE(admit());
    for (std::uint32_t i = kUserPermits; i < kPermits; ++i) {
      held.push_back(admit("bob"));
      EXPECT_TRUE(held.back()) << "permit " << i;
    }
    EXPECT_EQ(admit("carol").verdict(), Verdict::shed);
    held.clear();
    EXPECT_TRUE(admit("carol"));
  }

  // Kills `operation` at every change, and checks that between `least` and `most` tokens are left.
  void kill_everywhere(const std::function<void()>& operation, std::size_t min_images, std::uint32_t least,
                       std::uint32_t most) {
    const CrashImages crash = crash_images(bytes, operation, what_may_change());
    ASSERT_EQ(crash.error, "");
    EXPECT_GE(crash.images.size(), min_images);
    std::cout << "[crash images] " << crash.images.size() << "\n";
    EXPECT_THAT(for_each_image(crash, bytes, [&](const Image&) { expect_whole(least, most); }), IsEmpty());
  }

  SegmentName name;
  std::optional<Limiter> limiter;
  std::span<std::byte> bytes;
};

// A new user: the worker joins, two entries are inserted (reserved, then live), three words are charged, and
// the permits are given back at the end of the scope.
TEST_F(LimiterCrash, KilledInsideTheFirstAdmissionOfAWorkerAndAUser) {
  kill_everywhere([&] { (void)admit(); }, 10, kTokens - 1, kTokens);
}

TEST_F(LimiterCrash, KilledInsideAnAdmissionOfAKnownUser) {
  ASSERT_TRUE(admit());
  kill_everywhere([&] { (void)admit(); }, 8, kTokens - 2, kTokens - 1);
}

TEST_F(LimiterCrash, KilledInsideAWeightedAdmission) {
  kill_everywhere([&] { (void)limiter->admit("work", {.user = "alice", .weight = 2}); }, 12, kTokens - 1,
                  kTokens);
}

TEST_F(LimiterCrash, KilledInsideAReset) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(admit());
  kill_everywhere([&] { limiter->reset(); }, 2, kTokens - 3, kTokens);
}

TEST_F(LimiterCrash, KilledInsideAResetOfAUser) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(admit());
  kill_everywhere([&] { limiter->reset_user("alice"); }, 2, kTokens - 3, kTokens - 3);
}

TEST_F(LimiterCrash, KilledInsideASweepTheNextSweepDoesTheRest) {
  ASSERT_EQ(in_child([&]() -> int {
              const Admission first = admit();
              const Admission second = admit();
              ::_exit(0);  // it dies with two permits
            }),
            0);
  kill_everywhere([&] { limiter->reap(); }, 4, kTokens - 2, kTokens - 2);
}

}  // namespace
}  // namespace weir::test

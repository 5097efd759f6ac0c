// SPDX-License-Identifier: Apache-2.0

// A live change is killed after each store: every limit is the old or the new one, and the next change
// succeeds.

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "base/hash.hpp"
#include "plan/compile.hpp"
#include "plan/lease_pool.hpp"
#include "policy/block_names.hpp"
#include "policy/compile.hpp"
#include "policy/queues.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"
#include "policy/turn.hpp"
#include "policy/write_block.hpp"
#include "segment/mapping.hpp"
#include "support/crash_images.hpp"
#include "support/segment_name.hpp"

namespace weir::test {
namespace {

using ::testing::IsEmpty;

class ChangeCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
    before = *parse_config(R"(
[operations.work]
rate = ["1/min burst 10", "9/s"]
concurrent = 4
queue = 5
breaker = { failures = 3, recovery = "30s" }
)",
                           "before");
    after = *parse_config(R"(
[operations.work]
rate = ["1/min burst 70", "5/s"]
window = "100 per 1min"
concurrent = 2
queue = 9
timeout = "30s"
order = "lifo"
breaker = { failures = 5, recovery = "10s" }
[operations.fresh]
rate = "7/s"
queue = 3
)",
                          "after");
    before.segment.name = after.segment.name = name.str();
    before.segment.users = after.segment.users = 8;
    before.segment.workers = after.segment.workers = 4;
    auto opened = Limiter::open(before);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    segment.emplace(
        *detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint));
    sections = *detail::Sections::of(*segment);
    // The sections lie in one mapping, from the first to the end of the last.
    auto* const begin =
        reinterpret_cast<std::byte*>(&sections.control[0]) - segment->header().sections[1].offset;
    bytes = {begin, segment->header().total_bytes};
  }

  SegmentName name;
  Config before;
  Config after;
  std::optional<Limiter> limiter;
  std::optional<detail::Segment> segment;
  detail::Sections sections;
  std::span<std::byte> bytes;
};

TEST_F(ChangeCrash, EachLimitIsTheOldOrTheNewOneAndTheNextChangeSucceeds) {
  const detail::KeyHasher hasher(segment->header().secret);
  const detail::BlockValue value = detail::compile(after.operations.at("work"));
  const detail::BlockValue fresh = detail::compile(after.operations.at("fresh"));
  const CrashImages crash = crash_images(bytes, [&] {
    const detail::ChangeOfLimits changing(sections.control->turn);
    detail::store_breaker(sections, detail::kFirstOperation, after.operations.at("work").breaker);
    (void)detail::write_block(sections, detail::kFirstOperation, value, 1);
    std::uint32_t taken = 0;
    const auto block =
        detail::block_for(sections, detail::Family::operations, "fresh", hasher("fresh"), taken);
    (void)detail::write_block(sections, *block, fresh, 1);
    detail::publish_block(sections, detail::Family::operations, hasher("fresh"), *block);
  });
  ASSERT_EQ(crash.error, "");
  EXPECT_GE(crash.images.size(), 15U);
  std::cout << "[crash images] " << crash.images.size() << "\n";
  const auto failures = for_each_image(crash, bytes, [&](const Image&) {
    const Config seen = limiter->config();
    const OperationPolicy& work = seen.operations.at("work");
    for (std::size_t i = 0; i < 2; ++i) {
      const auto enforced = [](const Rate& rate) {
        return std::pair(detail::emission_interval(rate), rate.burst);
      };
      const auto is = enforced(work.shared.rates.at(i));
      const auto old_value = enforced(before.operations.at("work").shared.rates.at(i));
      const auto new_value = enforced(after.operations.at("work").shared.rates.at(i));
      // The value is as it was written, or in normalised form, which rounds by less than a nanosecond.
      const auto near = [&](const auto& value_of) {
        const auto off = static_cast<std::int64_t>(is.first) - static_cast<std::int64_t>(value_of.first);
        return is.second == value_of.second && off > -256 && off < 256;
      };
      EXPECT_TRUE(near(old_value) || near(new_value)) << i;
    }
    EXPECT_TRUE(work.shared.concurrent.limit == 4 || work.shared.concurrent.limit == 2);
    EXPECT_TRUE(work.queue == before.operations.at("work").queue ||
                work.queue == after.operations.at("work").queue);
    for (const auto& [operation, policy] : seen.operations) {
      const std::uint32_t block = detail::find_block(sections.operation_index, hasher(operation));
      EXPECT_EQ(detail::queue_of(sections, block).usable, policy.queue.seats) << operation;
    }
    EXPECT_TRUE(work.breaker == before.operations.at("work").breaker ||
                work.breaker == after.operations.at("work").breaker);
    // After a killed change, what the words say is enforced; the next change ends its turn.
    EXPECT_TRUE(limiter->admit("work"));
    const auto another = set_limit(name.str(), "operations.another.rate", "7/s");
    EXPECT_TRUE(another) << another.error().message();
    const auto applied = apply_config(name.str(), after);
    ASSERT_TRUE(applied) << applied.error().message();
    EXPECT_FALSE(detail::is_being_changed(detail::turn_of_limits(sections.control->turn)));
    EXPECT_TRUE(limiter->config().operations == detail::canonical(after).operations);
    EXPECT_TRUE(limiter->admit("fresh"));
  });
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(ChangeCrash, AKilledChangeOfAWindowAdmitsNothingThatWasSpent) {
  const auto with = [&](std::string_view window) {
    Config config = *parse_config(fmt::format("[operations.work]\nwindow = {}\n", window), "test");
    config.segment = before.segment;
    return config;
  };
  for (const int spent : {10, 5}) {
    limiter->reset();
    ASSERT_TRUE(apply_config(name.str(), with("\"10 per 1h\"")));
    for (int i = 0; i < spent; ++i) EXPECT_TRUE(limiter->admit("work"));
    const std::vector<std::byte> initial(bytes.begin(), bytes.end());
    for (const char* next : {"\"40 per 1h\"", "{ limit = \"40 per 2h\", kind = \"ring\" }"}) {
      SCOPED_TRACE(next);
      std::memcpy(bytes.data(), initial.data(), initial.size());
      const Config wanted = with(next);
      const std::uint64_t now = detail::ticks_at(segment->header(), HostClock::now());
      const CrashImages crash = crash_images(bytes, [&] {
        const detail::ChangeOfLimits changing(sections.control->turn);
        (void)detail::write_block(sections, detail::kFirstOperation,
                                  detail::compile(wanted.operations.at("work")), now);
      });
      ASSERT_EQ(crash.error, "");
      EXPECT_GE(crash.images.size(), 15U);
      const auto failures = for_each_image(crash, bytes, [&](const Image&) {
        int admitted = 0;
        for (int i = 0; i < 15; ++i) admitted += limiter->admit("work") ? 1 : 0;
        const auto applied = apply_config(name.str(), wanted);
        ASSERT_TRUE(applied) << applied.error().message();
        EXPECT_EQ(limiter->config().operations, detail::canonical(wanted).operations);
        for (int i = 0; i < 60; ++i) admitted += limiter->admit("work") ? 1 : 0;
        EXPECT_LE(admitted, 40 - spent) << spent << " were admitted earlier in this hour";
        EXPECT_GE(admitted, 20) << "at most one window's worth is taken over twice";
      });
      EXPECT_THAT(failures, IsEmpty());
    }
  }
}

/// What one process has leased of the first rate of `work`, without the processes that the images are taken in.
class OneProcess {
 public:
  OneProcess(const detail::Sections& sections, std::uint64_t now) : sections_(sections), now_(now) {}

  void lease() {
    detail::Lease* const mine = look();
    ASSERT_NE(mine, nullptr);
    mine->add(64, now_ + detail::ticks_from_ns(10'000'000), now_);
    ASSERT_NE(left(), 0U);
  }
  [[nodiscard]] bool may_lease() { return look() != nullptr; }
  /// Tokens that it may spend under the limits as they are now.
  [[nodiscard]] std::uint32_t left() {
    detail::Lease* const mine = look();
    return mine == nullptr ? 0 : mine->left(now_);
  }

 private:
  [[nodiscard]] detail::Lease* look() {
    return detail::compile_plan(sections_, detail::kFirstOperation, 0, *leases_)
        .shared.rates.enforced()[0]
        .lease;
  }

  const detail::Sections& sections_;
  std::uint64_t now_;
  std::unique_ptr<detail::LeasePool> leases_ = std::make_unique<detail::LeasePool>();
};

// While nothing can be leased, other processes may spend all that there is.
TEST_F(ChangeCrash, KilledChangesThatTurnALeaseOffAndOnAgainLeaveNothingOfItToSpend) {
  const auto with_lease = [&](std::string_view lease) {
    Config config = *parse_config(
        fmt::format("[operations.work]\nrate = {{ limit = \"100000/s burst 10000\", lease = {} }}\n", lease),
        "test");
    config.segment = before.segment;
    return config;
  };
  const std::uint64_t now = detail::ticks_at(segment->header(), HostClock::now());
  const auto images_of = [&](std::string_view lease, std::uint64_t at) {
    const detail::BlockValue value = detail::compile(with_lease(lease).operations.at("work"));
    return crash_images(bytes, [&, at] {
      const detail::ChangeOfLimits changing(sections.control->turn);
      (void)detail::write_block(sections, detail::kFirstOperation, value, at);
    });
  };
  const auto restore = [&](const std::vector<std::byte>& image) {
    std::memcpy(bytes.data(), image.data(), image.size());
  };
  ASSERT_TRUE(apply_config(name.str(), with_lease("64")));
  const std::vector<std::byte> leased(bytes.begin(), bytes.end());

  const CrashImages off = images_of("\"off\"", now + 1);
  ASSERT_EQ(off.error, "");
  EXPECT_GE(off.images.size(), 4U);
  int turned_off = 0;
  for (const Image& killed_off : off.images) {
    restore(killed_off.bytes);
    if (OneProcess(sections, now).may_lease()) continue;
    ++turned_off;
    const CrashImages on = images_of("64", now + 2);
    ASSERT_EQ(on.error, "");
    for (const Image& killed_on : on.images) {
      SCOPED_TRACE(fmt::format("off killed after instruction {}, on killed after instruction {}",
                               killed_off.instruction, killed_on.instruction));
      restore(leased);
      OneProcess process(sections, now);
      process.lease();
      restore(killed_on.bytes);
      EXPECT_EQ(process.left(), 0U);
    }
  }
  EXPECT_GE(turned_off, 2);
}

}  // namespace
}  // namespace weir::test

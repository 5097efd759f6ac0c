// SPDX-License-Identifier: Apache-2.0

// Queues that are changed while requests wait in them.

#include "policy/queues.hpp"

#include <array>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string>

#include "weir/control.hpp"
#include "weir/inspect.hpp"

#include "control/live_change.hpp"
#include "segment/mapping.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using namespace detail;  // NOLINT(google-build-using-namespace)
using ::testing::HasSubstr;

class Queues : public LiveChange {
 protected:
  void SetUp() override {
    LiveChange::SetUp();
    if (HasFatalFailure()) return;
    auto attached = Segment::attach(name.str(), OpenMode::read_write, kAbiFingerprint);
    ASSERT_TRUE(attached) << attached.error().message();
    segment.emplace(std::move(*attached));
    auto found = Sections::of(*segment);
    ASSERT_TRUE(found) << found.error().message();
    sections.emplace(*found);
  }

  /// The block of an operation of the segment: they have blocks in the order of their names.
  static constexpr std::uint32_t kOther = kFirstOperation;
  static constexpr std::uint32_t kWork = kFirstOperation + 1;

  [[nodiscard]] QueueView queue(std::uint32_t block = kWork) const { return queue_of(*sections, block); }
  [[nodiscard]] std::span<Seat> seats(std::uint32_t block = kWork) const {
    return queue(block).waiters.seats();
  }
  [[nodiscard]] Queue configured() const { return limiter->config().operations.at("work").queue; }

  /// Puts a waiter into a seat, as if a request of another process waited there.
  void take(Seat& seat) const {
    Pair free{};
    ASSERT_TRUE(seat.pair.compare_exchange(free, Seated{Owner(3, 1), 3, 7}.pair()));
  }

  std::optional<Segment> segment;
  std::optional<Sections> sections;
};

TEST_F(Queues, EachKeyChangesLiveAndRollsBack) {
  const struct {
    const char* key;
    const char* value;
    Queue after;
  } steps[] = {
      {"operations.work.queue", "10", {10}},
      {"operations.work.timeout", "30s", {10, 30s}},
      {"operations.work.order", "lifo", {10, 30s, QueueOrder::lifo}},
      {"operations.work.shares", "[0, 1, 2, 3]", {10, 30s, QueueOrder::lifo, {0, 1, 2, 3}}},
      {"operations.work.push_out", "true", {10, 30s, QueueOrder::lifo, {0, 1, 2, 3}, true}},
  };
  Queue before{};
  for (const auto& [key, value, after] : steps) {
    const ChangeReport report = set(key, value);
    ASSERT_EQ(report.changes.size(), 1U) << key;
    EXPECT_EQ(report.changes[0].key, key);
    EXPECT_EQ(configured(), after) << key;
    EXPECT_EQ(queue().params, after) << key;
    EXPECT_EQ(queue().usable, 10U) << key;
    ASSERT_TRUE(roll_back(name.str())) << key;
    EXPECT_EQ(configured(), before) << key;
    set(key, value);
    before = after;
  }
  ASSERT_TRUE(roll_back_to(name.str(), 0));
  EXPECT_EQ(limiter->config().operations, config.operations);
  EXPECT_EQ(queue().usable, 0U);
}

TEST_F(Queues, TheGlobalQueueServesOperationsWithoutOneOfTheirOwn) {
  EXPECT_EQ(queue_block(*sections, kWork), kGlobalBlock);
  EXPECT_EQ(queue(kGlobalBlock).usable, 0U);
  set("global.queue", "5");
  set("operations.work.queue", "6");
  set("operations.other.timeout", "9s");
  EXPECT_EQ(queue_block(*sections, kWork), kWork);
  EXPECT_EQ(queue_block(*sections, kOther), kGlobalBlock) << "a timeout alone makes no queue";
  EXPECT_EQ(queue(kGlobalBlock).usable, 5U);
  set("operations.work.queue", "none");
  EXPECT_EQ(queue_block(*sections, kWork), kGlobalBlock);
}

// Requests go on waiting in their seats, and everything that looks for waiters finds them there.
TEST_F(Queues, AQueueThatIsRaisedLoweredTakenOutAndBroughtBackKeepsItsSeats) {
  set("operations.work.queue", "10");
  const std::span<Seat> first = seats();
  ASSERT_GE(first.size(), 64U);
  take(first[9]);
  for (const char* seats_now : {"64", "2", "0", "none", "11"}) {
    set("operations.work.queue", seats_now);
    EXPECT_EQ(seats().data(), first.data()) << seats_now;
    EXPECT_EQ(seats().size(), first.size()) << seats_now;
    EXPECT_EQ(queue().usable, configured().seats) << seats_now;
    EXPECT_TRUE(Seated::of(seats()[9].load()).taken()) << seats_now;
  }
}

TEST_F(Queues, MoreSeatsThanThereAreAreRefusedWithTheNumbers) {
  set("operations.work.queue", "40");
  set("operations.work.queue", "80");
  const auto more = set_limit(name.str(), "operations.work.queue", "81");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::no_space);
  EXPECT_THAT(more.error().message(), HasSubstr("queue: at most 80 in this segment"));
  // 1,024 are spare.
  set("operations.other.queue", "400");
  const auto global = set_limit(name.str(), "global.queue", "100");
  ASSERT_FALSE(global);
  EXPECT_EQ(global.error().code, Errc::no_space);
  EXPECT_THAT(global.error().message(),
              HasSubstr("queues: 200 more cells are needed; this segment has 144 left of 1024"));
  EXPECT_EQ(configured().seats, 80U);
}

TEST_F(Queues, NoTwoQueuesShareASeat) {
  set("operations.work.queue", "40");
  set("operations.other.queue", "3");
  set("global.queue", "1");
  const std::array queues{seats(kWork), seats(kOther), seats(kGlobalBlock)};
  for (std::size_t i = 0; i + 1 < queues.size(); ++i) {
    EXPECT_EQ(queues[i].data() + queues[i].size(), queues[i + 1].data());
  }
}

TEST_F(Queues, AQueueIsNotALimit) {
  EXPECT_EQ(admitted(3), 3);
  const auto before = take_snapshot(name.str());
  set("global.queue", "100");
  set("operations.work.queue", "100");
  const auto after = take_snapshot(name.str());
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->limits.size(), before->limits.size());
  EXPECT_EQ(after->breakers.size(), before->breakers.size());
  EXPECT_EQ(limiter->quotas(*limiter->operation("work")).size(), 1U);
  EXPECT_EQ(admitted(50), 7) << "nothing more and nothing less than before";
}

TEST_F(Queues, AResetLeavesSeatsAlone) {
  const auto without = reset_limits(name.str(), "work", "");
  set("operations.work.queue", "10");
  take(seats()[0]);
  const auto reset = reset_limits(name.str(), "work", "");
  ASSERT_TRUE(without && reset);
  EXPECT_EQ(reset->limits, without->limits);
  EXPECT_TRUE(Seated::of(seats()[0].load()).taken());
}

// A queue charges nothing, so an admission from before it was charged under all limits.
TEST_F(Queues, ARefundGivesBackAlsoIfAQueueCameMeanwhile) {
  EXPECT_EQ(admitted(9), 9);
  Admission held = limiter->admit("work");
  ASSERT_TRUE(held);
  set("operations.work.queue", "10");
  limiter->refund(*limiter->operation("work"), {}, held);
  EXPECT_EQ(admitted(5), 1);
}

// Another operation must not find the waiters of the one that was taken out.
TEST_F(Queues, ABlockInWhichARequestWaitsIsNotGivenToAnotherName) {
  set("operations.work.queue", "10");
  take(seats()[3]);
  set("operations.work", "none");
  Config full = limiter->config();
  for (std::uint32_t i = 0; full.operations.size() < kMaxOperations; ++i)
    full.operations["filler" + std::to_string(i)];
  const auto refused = apply_config(name.str(), full);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  Pair waiter = seats()[3].load();
  ASSERT_TRUE(seats()[3].pair.compare_exchange(waiter, Pair{}));
  EXPECT_TRUE(apply_config(name.str(), full));
}

// Whatever another process has written there, a queue stays within the section of seats.
TEST_F(Queues, ADamagedRecordHasNoSeatsOutsideTheSection) {
  set("operations.work.queue", "10");
  LimitRecord& record = sections->blocks[kWork].limits[kQueue];
  record.cells.store(~std::uint64_t{0}, std::memory_order_relaxed);
  record.params.store(~std::uint64_t{0}, std::memory_order_relaxed);
  EXPECT_TRUE(seats().empty());
  EXPECT_EQ(queue().usable, 0U);
  EXPECT_EQ(queue_block(*sections, kWork), kGlobalBlock);
  record.cells.store(CellRange{static_cast<std::uint32_t>(sections->seats.size()) - 5, 5}.word(),
                     std::memory_order_relaxed);
  EXPECT_EQ(queue().usable, 5U);
}

}  // namespace
}  // namespace weir

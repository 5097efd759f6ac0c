// SPDX-License-Identifier: Apache-2.0

// A queue after a process was killed while it took a seat, looked, left, rang, pushed out or swept.

#include "primitives/waiting.hpp"

#include <array>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ticks.hpp"
#include "primitives/permits.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"
#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::Gate;
using detail::Lacks;
using detail::Owner;
using detail::Pair;
using detail::Permits;
using detail::reclaim_seats;
using detail::ring_next;
using detail::Seat;
using detail::Seated;
using detail::shut_if_empty;
using detail::ticks_from_ns;
using detail::WaiterAnswer;
using detail::Waiting;
using detail::WaitingQueue;
using detail::Wants;
using detail::Word;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kNow = (std::uint64_t{100} << Seated::kBeatShift) + (std::uint64_t{1} << 30);
constexpr std::uint64_t kSlice = ticks_from_ns(50'000'000);
constexpr Wants kPermits{Lacks::permits, 1, 0};
const Owner kKilled{0, 1};
const Owner kSurvivor{1, 1};
const Owner kNewcomer{2, 1};
const Owner kAlsoDead{3, 1};

// No process sleeps in these tests.
bool wake(const Word& /*bell*/) {
  return false;
}

struct Shared {
  Gate gate;
  std::array<Seat, 2> seats;
  std::array<Word, 1> cells;

  [[nodiscard]] WaitingQueue queue() { return {seats, 2, 0, {}, gate.turn}; }
  [[nodiscard]] auto queues() {
    return [this](auto&& visit) { visit(queue()); };
  }
  [[nodiscard]] Permits permits() { return Permits(cells); }

  [[nodiscard]] static Seated content(Owner owner, std::uint32_t urgency, std::uint64_t now, Lacks lacks) {
    return {.owner = owner,
            .urgency = urgency,
            .arrival = now >> Seated::kArrivalShift,
            .beat = Seated::beat_at(now),
            .lacks = {lacks, kPermits.block, kPermits.user}};
  }
  Waiting sit(Owner owner, std::uint32_t urgency = 3, std::uint64_t now = kNow,
              Lacks lacks = Lacks::permits) {
    const Seated me = content(owner, urgency, now, lacks);
    Seat* const seat = queue().take(me.pair());
    return seat != nullptr ? Waiting(*seat, me, gate) : Waiting();
  }
  Waiting::Next look(Waiting& waiting, std::uint64_t now) {
    struct Limits {
      Shared& shared;
      Owner owner;
      std::uint64_t now;
      WaiterAnswer ask() {
        if (shared.permits().available(1, 1, 0)) return {};
        return {WaiterAnswer::Kind::lacks, Lacks::permits};
      }
      WaiterAnswer decide() {
        if (shared.permits().take(owner, 1, 1, 0, now)) return {};
        return {WaiterAnswer::Kind::lacks, Lacks::permits};
      }
    } limits{*this, waiting.content().owner, now};
    return waiting.look(
        kPermits, queues(), limits, [now] { return now; }, wake);
  }
  /// Its slice ends, and then each grace that it gives. @return whether it is admitted.
  bool is_admitted(Waiting& waiting, std::uint64_t now) {
    for (int looks = 0; looks < 6; ++looks) {
      const Waiting::Next next = look(waiting, now);
      if (next != Waiting::Next::sleeps) return next == Waiting::Next::admitted;
      if (waiting.wake_at() == Waiting::kNoAlarm) return false;
      now = waiting.wake_at();
    }
    ADD_FAILURE() << "a waiter does not come to rest";
    return false;
  }
  void leave(Waiting& waiting) {
    waiting.leave();
    ring_next(queues(), kPermits, kNow, wake);
    shut_if_empty(gate, seats);
  }
  void give_back(Owner owner) {
    permits().reclaim([owner](Owner held_by) { return held_by == owner; });
    if (gate.is_open()) ring_next(queues(), kPermits, kNow, wake);
  }
  void sweep() {
    const auto gone = [](Owner owner) { return owner == kKilled || owner == kAlsoDead; };
    permits().reclaim(gone);
    reclaim_seats(seats, gone);
  }
};

class WaitingCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }

  /// From each image: a survivor that waits gets the permit after a slice if it is free, and after a sweep in any case.
  /// Then newcomers fill all seats, and the gate is shut after the last of them.
  void expect_recovery(std::size_t images, const std::function<void()>& operation, Waiting survivor = {}) {
    const CrashImages crash = crash_images(shared_.bytes(), operation);
    ASSERT_EQ(crash.error, "");
    EXPECT_THAT(crash.images, SizeIs(images));
    const auto failures = for_each_image(crash, shared_.bytes(), [&](const Image&) {
      if (survivor) recover(survivor);
      shared_->sweep();
      shared_->give_back(kSurvivor);
      EXPECT_EQ(shared_->permits().in_use(), 0u) << "a permit is lost";
      Waiting first = shared_->sit(kNewcomer, 3, kNow + 3 * kSlice);
      Waiting second = shared_->sit(kNewcomer, 3, kNow + 3 * kSlice);
      ASSERT_TRUE(first && second) << "a seat is lost";
      EXPECT_TRUE(shared_->gate.is_open());
      EXPECT_TRUE(shared_->is_admitted(first, kNow + 3 * kSlice));
      shared_->leave(first);
      EXPECT_TRUE(shared_->gate.is_open());
      shared_->give_back(kNewcomer);
      EXPECT_TRUE(shared_->is_admitted(second, kNow + 3 * kSlice));
      shared_->leave(second);
      EXPECT_FALSE(shared_->gate.is_open()) << "the gate cannot be shut";
      for (const Seat& seat : shared_->seats) EXPECT_EQ(seat.load(), Pair{});
    });
    EXPECT_THAT(failures, IsEmpty());
  }

  void recover(Waiting survivor) {
    const bool free = shared_->permits().in_use() == 0;
    const bool lost = Seated::of(survivor.seat().load()).owner != kSurvivor;
    bool admitted = shared_->is_admitted(survivor, kNow + kSlice);
    EXPECT_EQ(admitted, free && !lost);
    shared_->sweep();
    if (!admitted && !lost) admitted = shared_->is_admitted(survivor, kNow + 2 * kSlice);
    EXPECT_EQ(admitted, !lost) << "a waiter sleeps for ever";
    shared_->leave(survivor);
  }

  SharedObject<Shared> shared_;
};

TEST_F(WaitingCrash, KilledWhileItTakesASeatAndOpensTheGate) {
  expect_recovery(3, [&] { (void)shared_->sit(kKilled); });
}

TEST_F(WaitingCrash, KilledWhileItTakesASeatBehindAnother) {
  const Waiting survivor = shared_->sit(kSurvivor);
  expect_recovery(
      3, [&] { (void)shared_->sit(kKilled); }, survivor);
}

TEST_F(WaitingCrash, KilledWhileItTakesASeatBeforeAnother) {
  const Waiting survivor = shared_->sit(kSurvivor);
  expect_recovery(
      3, [&] { (void)shared_->sit(kKilled, 5); }, survivor);
}

// The seat is looked at, and a permit taken.
TEST_F(WaitingCrash, KilledInALookThatAdmitsIt) {
  Waiting killed = shared_->sit(kKilled, 4);
  const Waiting survivor = shared_->sit(kSurvivor);
  expect_recovery(
      3, [&] { EXPECT_EQ(shared_->look(killed, kNow + kSlice), Waiting::Next::admitted); }, survivor);
}

// It lacks something else than before, and rings the next one for what it does not lack any more: a new beat, what it
// lacks, and the bell.
TEST_F(WaitingCrash, KilledInALookThatChangesWhatItLacks) {
  ASSERT_TRUE(shared_->permits().take(kAlsoDead, 1, 1, 0, kNow));
  Waiting killed = shared_->sit(kKilled, 4, kNow, Lacks::permits | Lacks::quotas);
  Waiting survivor = shared_->sit(kSurvivor, 3, kNow, Lacks::quotas);
  expect_recovery(
      4, [&] { EXPECT_EQ(shared_->look(killed, kNow + kSlice), Waiting::Next::sleeps); }, survivor);
}

// It asks the one ahead, which does not look, marks it absent and takes the permit: asked, the bell, absent, the permit.
TEST_F(WaitingCrash, KilledWhileItGoesOnWithoutOneThatDoesNotLook) {
  const Waiting survivor = shared_->sit(kSurvivor, 4);
  Waiting killed = shared_->sit(kKilled);
  expect_recovery(
      5,
      [&] {
        EXPECT_EQ(shared_->look(killed, kNow), Waiting::Next::sleeps);
        EXPECT_EQ(shared_->look(killed, kNow + Waiting::kGrace), Waiting::Next::admitted);
      },
      survivor);
}

// The seat, and the gate.
TEST_F(WaitingCrash, KilledWhileItLeavesAsTheLast) {
  Waiting killed = shared_->sit(kKilled);
  expect_recovery(3, [&] { shared_->leave(killed); });
}

// The seat, and the bell of the next one.
TEST_F(WaitingCrash, KilledWhileItLeavesBeforeAnother) {
  Waiting killed = shared_->sit(kKilled, 4);
  const Waiting survivor = shared_->sit(kSurvivor);
  expect_recovery(
      3, [&] { shared_->leave(killed); }, survivor);
}

// The cell, and the bell.
TEST_F(WaitingCrash, KilledBetweenTheCellAndTheRing) {
  ASSERT_TRUE(shared_->permits().take(kKilled, 1, 1, 0, kNow));
  const Waiting survivor = shared_->sit(kSurvivor);
  expect_recovery(
      3, [&] { shared_->give_back(kKilled); }, survivor);
}

// The seat, the bell of the one that it was taken from, and the gate.
TEST_F(WaitingCrash, KilledWhileItPushesAnotherOut) {
  const Waiting survivor = shared_->sit(kSurvivor, 2);
  (void)shared_->sit(kAlsoDead, 5);
  expect_recovery(
      4,
      [&] {
        const Seated me = Shared::content(kKilled, 4, kNow, Lacks::permits);
        Seat* const seat = shared_->queue().push_out(me.pair(), kNow);
        ASSERT_NE(seat, nullptr);
        (void)detail::ring(*seat, wake);
        (void)Waiting(*seat, me, shared_->gate);
      },
      survivor);
}

TEST_F(WaitingCrash, KilledWhileItSweepsTheNextSweepDoesTheRest) {
  (void)shared_->sit(kAlsoDead);
  (void)shared_->sit(kAlsoDead);
  expect_recovery(4, [&] {
    (void)reclaim_seats(shared_->seats, [](Owner owner) { return owner == kAlsoDead; });
    shut_if_empty(shared_->gate, shared_->seats);
  });
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0
#include "primitives/waiting.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include "base/ticks.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"

namespace weir::test {
namespace {

using detail::first_waiter;
using detail::Gate;
using detail::Lacks;
using detail::Owner;
using detail::Pair;
using detail::reclaim_seats;
using detail::ring;
using detail::ring_all;
using detail::ring_each;
using detail::ring_next;
using detail::Seat;
using detail::Seated;
using detail::SeenSeat;
using detail::shut_if_empty;
using detail::ticks_from_ns;
using detail::WaiterAnswer;
using detail::Waiting;
using detail::WaitingKey;
using detail::WaitingOrder;
using detail::WaitingQueue;
using detail::Wants;
using detail::Word;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kMillisecond = ticks_from_ns(1'000'000);
constexpr std::uint64_t kNow = ticks_from_ns(3'600'000'000'000);
constexpr std::uint64_t kAllBits = ~std::uint64_t{0};
constexpr std::uint32_t kBlock = 7;
constexpr std::uint32_t kAlice = 1;
constexpr std::uint32_t kBob = 2;
constexpr Wants kPermits{Lacks::permits, kBlock, 0};

Owner owner_of(std::uint32_t worker) {
  return {worker, 1};
}

/// A waiter that came `ago` before kNow, looked at kNow, and lacks a permit.
Seated waiter(std::uint32_t worker, std::uint32_t urgency, std::uint64_t ago, Wants lacks = kPermits) {
  return {.owner = owner_of(worker),
          .urgency = urgency,
          .arrival = (kNow - ago) >> Seated::kArrivalShift,
          .beat = Seated::beat_at(kNow),
          .lacks = lacks};
}

void sit(Seat& seat, const Seated& content) {
  ASSERT_TRUE(seat.pair.replace(seat.load(), content.pair()));
}

/// Seats of one queue, and processes that sleep on their bells.
template <std::size_t Count>
struct Room {
  explicit Room(WaitingOrder order = {}, std::uint32_t usable = Count, std::uint32_t first = 0)
      : queue(seats, usable, first, order, gate.turn) {}
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  std::array<Seat, Count> seats;
  Gate gate;
  WaitingQueue queue;
  std::vector<std::size_t> rung;    // in this order
  std::vector<std::size_t> asleep;  // in which seats

  [[nodiscard]] auto queues() const {
    return [this](auto&& visit) { visit(queue); };
  }
  [[nodiscard]] auto wake() {
    return [this](const Word& bell) {
      const std::size_t seat = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&bell) -
                                                        reinterpret_cast<const std::byte*>(seats.data())) /
                               sizeof(Seat);
      rung.push_back(seat);
      return std::erase(asleep, seat) != 0;
    };
  }
  [[nodiscard]] std::size_t number(const Seat* seat) const {
    return static_cast<std::size_t>(seat - seats.data());
  }
  /// The seats of those that lack a permit and answer, the one that goes first at the front.
  [[nodiscard]] std::vector<std::size_t> order(std::uint64_t now = kNow) const {
    std::vector<std::size_t> all;
    std::optional<WaitingKey> beyond;
    while (const SeenSeat next = first_waiter(queues(), {kPermits, now}, beyond)) {
      all.push_back(number(next.seat));
      beyond = next.key;
    }
    return all;
  }
};

// --- seat.hpp ---

void expect_the_same(const Seated& a, const Seated& b) {
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.urgency, b.urgency);
  EXPECT_EQ(a.arrival, b.arrival);
  EXPECT_EQ(a.beat, b.beat);
  EXPECT_EQ(a.absent, b.absent);
  EXPECT_EQ(a.asked, b.asked);
  EXPECT_EQ(a.lacks.what, b.lacks.what);
  EXPECT_EQ(a.lacks.block, b.lacks.block);
  EXPECT_EQ(a.lacks.user, b.lacks.user);
}

TEST(Seat, KeepsEachFieldUpToItsLimitApartFromTheOthers) {
  const std::vector<std::function<void(Seated&)>> at_their_limits{
      [](Seated& it) { it.owner = Owner::from_bits(0xf'ffff); },
      [](Seated& it) { it.urgency = 7; },
      [](Seated& it) { it.arrival = Seated::kArrivalMask; },
      [](Seated& it) { it.beat = 0xffff; },
      [](Seated& it) { it.absent = true; },
      [](Seated& it) { it.asked = true; },
      [](Seated& it) { it.lacks.what = ~Lacks::nothing; },
      [](Seated& it) { it.lacks.block = 511; },
      [](Seated& it) { it.lacks.user = Seated::kUserMask; },
  };
  for (const auto& set : at_their_limits) {
    Seated content;
    set(content);
    expect_the_same(Seated::of(content.pair()), content);
  }
  Seated all;
  for (const auto& set : at_their_limits) set(all);
  EXPECT_EQ(all.pair(), (Pair{kAllBits, kAllBits}));
  for (const auto& set : at_their_limits) {  // no two of them share a bit
    Seated one;
    set(one);
    const Pair bits = one.pair();
    for (const auto& other_set : at_their_limits) {
      if (&other_set == &set) continue;
      Seated other;
      other_set(other);
      EXPECT_EQ(bits.first & other.pair().first, 0u);
      EXPECT_EQ(bits.second & other.pair().second, 0u);
    }
  }
}

TEST(Seat, AFieldBeyondItsLimitDoesNotReachIntoAnother) {
  Seated content;
  content.arrival = kAllBits;
  content.urgency = 8;
  content.beat = 1U << 16;
  content.lacks.block = 512;
  content.lacks.user = 1U << 29;
  Seated wrapped;
  wrapped.arrival = Seated::kArrivalMask;
  EXPECT_EQ(content.pair(), wrapped.pair());
}

TEST(Seat, IsFreeWithoutAnOwner) {
  EXPECT_EQ(Seated{}.pair(), Pair{});
  EXPECT_FALSE(Seated{}.taken());
  EXPECT_TRUE(waiter(0, 1, 0).taken());
}

TEST(Seat, AWaiterIsPresentForAHundredMillisecondsAfterItsLook) {
  const Seated content = waiter(0, 3, 0);
  EXPECT_TRUE(content.present(kNow));
  EXPECT_TRUE(content.present(kNow + 100 * kMillisecond));
  EXPECT_FALSE(content.present(kNow + 118 * kMillisecond));
  EXPECT_FALSE(content.present(kNow + 10'000 * kMillisecond));
}

TEST(Seat, AWaiterWithAClockThatIsALittleAheadIsPresent) {
  const Seated content = waiter(0, 3, 0);
  EXPECT_TRUE(content.present(kNow - 16 * kMillisecond));
  EXPECT_FALSE(content.present(kNow - 40 * kMillisecond));
}

TEST(Seat, AWaiterThatIsMarkedAbsentIsNotPresent) {
  Seated content = waiter(0, 3, 0);
  content.absent = true;
  EXPECT_FALSE(content.present(kNow));
}

TEST(Seat, PresenceGoesOnWhereTheBeatBeginsAgain) {
  constexpr std::uint64_t kAround = std::uint64_t{1} << (Seated::kBeatShift + 16);
  Seated content;
  content.beat = Seated::beat_at(kAround - 1);
  EXPECT_EQ(content.beat, 0xffffu);
  EXPECT_TRUE(content.present(kAround));
  EXPECT_TRUE(content.present(kAround + 80 * kMillisecond));
  EXPECT_FALSE(content.present(kAround + 120 * kMillisecond));
}

// --- what waiters concern ---

TEST(Wants, PermitsOfAnOperationConcernItsRequestsAlone) {
  EXPECT_TRUE(kPermits.concerns(kPermits));
  EXPECT_FALSE(kPermits.concerns({Lacks::permits, kBlock + 1, 0}));
  EXPECT_FALSE(kPermits.concerns({Lacks::quotas, kBlock, 0}));
  EXPECT_FALSE(kPermits.concerns({Lacks::global_permits, kBlock, 0}));
}

TEST(Wants, GlobalPermitsConcernAllOperations) {
  EXPECT_TRUE((Wants{Lacks::global_permits, 1, 0}).concerns({Lacks::global_permits, 2, kAlice}));
  EXPECT_TRUE((Wants{Lacks::global_quotas, 1, 0}).concerns({Lacks::global_quotas, 2, kAlice}));
}

TEST(Wants, AUsersPermitsConcernThatUserAlone) {
  const Wants alice{Lacks::user_permits, kBlock, kAlice};
  EXPECT_TRUE(alice.concerns(alice));
  EXPECT_FALSE(alice.concerns({Lacks::user_permits, kBlock, kBob}));
  EXPECT_FALSE(alice.concerns({Lacks::user_permits, kBlock, 0}));
  EXPECT_FALSE(alice.concerns({Lacks::user_permits, kBlock + 1, kAlice}));
  EXPECT_TRUE(
      (Wants{Lacks::global_user_permits, 1, kAlice}).concerns({Lacks::global_user_permits, 2, kAlice}));
  EXPECT_FALSE(
      (Wants{Lacks::global_user_permits, 1, kAlice}).concerns({Lacks::global_user_permits, 1, kBob}));
}

TEST(Wants, RequestsWithoutAUserHaveNoUsersPermitsInCommon) {
  EXPECT_FALSE((Wants{Lacks::user_permits, kBlock, 0}).concerns({Lacks::user_permits, kBlock, 0}));
}

TEST(Wants, InCommonIsWhatBothAreAbout) {
  const Wants needs{~Lacks::nothing, 1, kAlice};
  EXPECT_EQ(needs.in_common({~Lacks::nothing, 1, kAlice}), ~Lacks::nothing);
  EXPECT_EQ(needs.in_common({~Lacks::nothing, 1, kBob}),
            Lacks::permits | Lacks::quotas | Lacks::global_permits | Lacks::global_quotas);
  EXPECT_EQ(needs.in_common({~Lacks::nothing, 2, kAlice}), detail::kOfAllOperations);
  EXPECT_EQ(needs.in_common({~Lacks::nothing, 2, kBob}), Lacks::global_permits | Lacks::global_quotas);
}

// --- the order ---

TEST(WaitingOrder, TheMoreUrgentGoesFirstWhateverItsAge) {
  Room<5> room;
  for (std::uint32_t i = 0; i < 5; ++i) sit(room.seats[i], waiter(i, i + 1, (5 - i) * kMillisecond));
  EXPECT_THAT(room.order(), ElementsAre(4, 3, 2, 1, 0));
}

TEST(WaitingOrder, TheOldestOfAClassGoesFirst) {
  Room<3> room;
  sit(room.seats[0], waiter(0, 3, 1 * kMillisecond));
  sit(room.seats[1], waiter(1, 3, 3 * kMillisecond));
  sit(room.seats[2], waiter(2, 3, 2 * kMillisecond));
  EXPECT_THAT(room.order(), ElementsAre(1, 2, 0));
}

TEST(WaitingOrder, InLifoTheYoungestOfAClassGoesFirst) {
  Room<3> room({.lifo = true});
  sit(room.seats[0], waiter(0, 3, 1 * kMillisecond));
  sit(room.seats[1], waiter(1, 4, 3 * kMillisecond));
  sit(room.seats[2], waiter(2, 3, 2 * kMillisecond));
  EXPECT_THAT(room.order(), ElementsAre(1, 0, 2));
}

TEST(WaitingOrder, TheLowerSeatDecidesBetweenWaitersOfOneMoment) {
  for (const bool lifo : {false, true}) {
    Room<3> room({.lifo = lifo});
    for (std::uint32_t i = 0; i < 3; ++i) sit(room.seats[i], waiter(i, 3, kMillisecond));
    EXPECT_THAT(room.order(), ElementsAre(0, 1, 2));
  }
}

TEST(WaitingOrder, AgeGoesOnWhereTheArrivalBeginsAgain) {
  constexpr std::uint64_t kAround = std::uint64_t{1} << (41 + Seated::kArrivalShift);
  constexpr std::uint64_t kThen = kAround + kMillisecond;
  Room<2> room;
  Seated before = waiter(0, 3, 0);
  before.arrival = (kAround - kMillisecond) >> Seated::kArrivalShift;
  before.beat = Seated::beat_at(kThen);
  Seated after = before;
  after.arrival = kThen >> Seated::kArrivalShift & Seated::kArrivalMask;
  EXPECT_LT(after.arrival, before.arrival);
  sit(room.seats[0], after);
  sit(room.seats[1], before);
  EXPECT_THAT(room.order(kThen), ElementsAre(1, 0));
}

TEST(WaitingOrder, AWaiterWithAClockAheadIsYoung) {
  Room<2> room;
  Seated ahead = waiter(0, 3, 0);
  ahead.arrival = (kNow + kMillisecond) >> Seated::kArrivalShift;
  sit(room.seats[0], ahead);
  sit(room.seats[1], waiter(1, 3, kMillisecond));
  EXPECT_THAT(room.order(), ElementsAre(1, 0));
}

TEST(WaitingOrder, ANewcomerIsTheYoungestOfItsClass) {
  for (const bool lifo : {false, true}) {
    Room<2> room({.lifo = lifo}, 2, 40);
    const WaitingQueue::Now now(room.queue, kNow);
    const WaitingKey newcomer = now.key_of_newcomer(3);
    const WaitingKey waits = now.key(3, (kNow - kMillisecond) >> Seated::kArrivalShift, 1);
    const WaitingKey came_at_once = now.key(3, kNow >> Seated::kArrivalShift, 1);
    EXPECT_EQ(newcomer < waits, lifo);
    EXPECT_LT(came_at_once, newcomer);
    EXPECT_LT(newcomer, now.key(2, 0, 0));
    EXPECT_LT(now.key(4, 0, 0), newcomer);
  }
}

TEST(WaitingOrder, ADamagedClassIsOneOfTheFive) {
  Room<3> room;
  sit(room.seats[0], waiter(0, 0, kMillisecond));
  sit(room.seats[1], waiter(1, 3, 0));
  sit(room.seats[2], waiter(2, 7, 0));
  EXPECT_THAT(room.order(), ElementsAre(2, 1, 0));
}

/// How many of `turns` are guaranteed to the classes 0 (none) to 4.
std::array<int, 5> guaranteed(const WaitingOrder& order, std::uint64_t turns) {
  std::array<int, 5> of{};
  for (std::uint64_t turn = 0; turn < turns; ++turn) ++of[order.favoured(turn)];
  return of;
}

TEST(WaitingOrder, OfSixteenTurnsEachClassIsGuaranteedItsShare) {
  EXPECT_THAT(guaranteed({}, 16), ElementsAre(16, 0, 0, 0, 0));
  EXPECT_THAT(guaranteed({.shares = {1, 1, 1, 1}}, 16), ElementsAre(12, 1, 1, 1, 1));
  EXPECT_THAT(guaranteed({.shares = {1, 2, 3, 4}}, 16), ElementsAre(6, 1, 2, 3, 4));
  EXPECT_THAT(guaranteed({.shares = {4, 4, 4, 4}}, 16), ElementsAre(0, 4, 4, 4, 4));
  EXPECT_THAT(guaranteed({.shares = {1, 2, 3, 4}}, 1'600), ElementsAre(600, 100, 200, 300, 400));
}

TEST(WaitingOrder, SharesAboveSixteenAreCutFromTheMostUrgentOn) {
  EXPECT_THAT(guaranteed({.shares = {255, 255, 255, 255}}, 16), ElementsAre(0, 16, 0, 0, 0));
}

TEST(WaitingOrder, TheTurnsOfAClassAreSpread) {
  const WaitingOrder order{.shares = {4, 0, 0, 0}};
  for (std::uint64_t first = 0; first < 1'600; first += 16) {
    std::vector<std::uint64_t> turns;
    for (std::uint64_t turn = first; turn < first + 16; ++turn) {
      if (order.favoured(turn) == 1) turns.push_back(turn);
    }
    ASSERT_EQ(turns.size(), 4U);
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(turns[i] - turns[i - 1], 4U);
  }
}

// Another queue may take all turns but each second, fourth, eighth or sixteenth.
TEST(WaitingOrder, AQueueThatSeesEveryNthTurnComesToItsGuaranteedOnes) {
  const WaitingOrder order{.shares = {1, 1, 1, 1}};
  for (const std::uint64_t n : {2U, 4U, 8U, 16U}) {
    std::array<int, 6> of{};
    for (std::uint64_t turn = 0; turn < 16'000 * n; turn += n) ++of[order.favoured(turn)];
    for (int urgency = 1; urgency <= 4; ++urgency) {
      EXPECT_GT(of[static_cast<std::size_t>(urgency)], 800) << "of class " << urgency << ", each " << n;
      EXPECT_LT(of[static_cast<std::size_t>(urgency)], 1'200) << "of class " << urgency << ", each " << n;
    }
  }
}

// A class 5 request comes for each that is served, and so does one of the class that was served.
TEST(WaitingOrder, UnderEndlessUrgentRequestsEachClassGetsItsShareOfTheTurns) {
  Room<5> room({.shares = {1, 2, 1, 1}});
  for (std::uint32_t i = 0; i < 5; ++i) sit(room.seats[i], waiter(i, i + 1, kMillisecond));
  std::array<int, 5> served{};
  for (int turn = 0; turn < 1'600; ++turn) {
    const std::size_t first = room.order().front();
    ++served[first];
    sit(room.seats[first],
        waiter(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first) + 1, 0));
    (void)room.gate.turn.fetch_add(1, kRelaxed);
  }
  EXPECT_THAT(served, ElementsAre(100, 200, 100, 100, 1'100));
}

TEST(WaitingOrder, AGuaranteedTurnWithoutAWaiterOfThatClassIsStrict) {
  Room<2> room({.shares = {16, 0, 0, 0}});
  sit(room.seats[0], waiter(0, 2, kMillisecond));
  sit(room.seats[1], waiter(1, 5, 0));
  EXPECT_THAT(room.order(), ElementsAre(1, 0));
}

// Whatever waits for what in three queues of different orders: each waiter lets a lower key go first, so there is
// always one that lets nobody go first, and no circle.
TEST(WaitingOrder, HasNoCirclesOverMixedQueuesAndRandomSeats) {
  std::mt19937 random(2026);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 2'000; ++round) {
    Room<6> fifo({.shares = {1, 1, 1, 1}}, 6, 0);
    Room<6> lifo({.lifo = true, .shares = {4, 4, 4, 4}}, 6, 6);
    Room<6> other({}, 6, 12);
    const std::array<Room<6>*, 3> rooms{&fifo, &lifo, &other};
    const auto queues = [&](auto&& visit) {
      for (Room<6>* const room : rooms) visit(room->queue);
    };
    std::map<const Seat*, Wants> needs;
    std::map<const Seat*, WaitingKey> keys;
    for (std::uint32_t block = 0; block < 3; ++block) {
      Room<6>& room = *rooms[block];
      for (std::uint32_t turn = below(16); turn > 0; --turn) (void)room.gate.turn.fetch_add(1, kRelaxed);
      for (std::uint32_t i = 0; i < 6; ++i) {
        if (below(4) == 0) continue;
        const Wants all{static_cast<Lacks>(random() & 0xff), block, below(3)};
        Seated content = waiter(block * 6 + i, 1 + below(5), below(4) * kMillisecond, all);
        content.lacks.what = all.what & static_cast<Lacks>(random() & 0xff);
        content.absent = below(8) == 0;
        sit(room.seats[i], content);
        needs[&room.seats[i]] = all;
        keys[&room.seats[i]] = WaitingQueue::Now(room.queue, kNow).key(content.urgency, content.arrival, i);
      }
    }
    std::size_t let_nobody_go_first = 0;
    for (const auto& [seat, wants] : needs) {
      const SeenSeat first = first_waiter(queues, {wants, kNow, false, seat});
      if (!first || first.key > keys[seat]) {
        ++let_nobody_go_first;
        continue;
      }
      EXPECT_EQ(first.key, keys[first.seat]) << "round " << round;
      EXPECT_NE(first.key, keys[seat]) << "round " << round << ": two waiters with one key";
    }
    EXPECT_EQ(let_nobody_go_first == 0, needs.empty()) << "round " << round;
  }
}

// --- a queue ---

TEST(WaitingQueue, GivesTheFirstFreeSeatAndNoneWhenAllAreTaken) {
  Room<2> room;
  EXPECT_EQ(room.queue.take(waiter(0, 3, 0).pair()), &room.seats[0]);
  EXPECT_EQ(room.queue.take(waiter(1, 3, 0).pair()), &room.seats[1]);
  EXPECT_EQ(room.queue.take(waiter(2, 3, 0).pair()), nullptr);
  sit(room.seats[0], {});
  EXPECT_EQ(room.queue.take(waiter(2, 3, 0).pair()), &room.seats[0]);
  EXPECT_EQ(room.seats[0].load(), waiter(2, 3, 0).pair());
}

TEST(WaitingQueue, OfALoweredLimitGivesTheFirstSeatsAndServesTheOthers) {
  Room<3> room({}, 1);
  sit(room.seats[2], waiter(2, 3, kMillisecond));
  EXPECT_EQ(room.queue.take(waiter(0, 3, 0).pair()), &room.seats[0]);
  EXPECT_EQ(room.queue.take(waiter(1, 3, 0).pair()), nullptr);
  EXPECT_THAT(room.order(), ElementsAre(2, 0));
  sit(room.seats[0], waiter(0, 5, 0));
  EXPECT_EQ(room.queue.push_out(waiter(1, 5, 0).pair(), kNow), nullptr)
      << "seats beyond the limit only drain";
}

TEST(WaitingQueue, UsesNoMoreSeatsThanItHas) {
  Room<1> room({}, 100);
  EXPECT_NE(room.queue.take(waiter(0, 3, 0).pair()), nullptr);
  EXPECT_EQ(room.queue.take(waiter(1, 3, 0).pair()), nullptr);
  EXPECT_NE(room.queue.push_out(waiter(1, 4, 0).pair(), kNow), nullptr);
}

TEST(WaitingQueue, WithoutSeatsHasNoneToGive) {
  Word turn;
  const WaitingQueue queue({}, 0, 0, {}, turn);
  EXPECT_EQ(queue.take(waiter(0, 3, 0).pair()), nullptr);
  EXPECT_EQ(queue.push_out(waiter(0, 5, 0).pair(), kNow), nullptr);
  EXPECT_EQ(WaitingQueue().take(waiter(0, 3, 0).pair()), nullptr);
}

TEST(WaitingQueue, PushesOutTheYoungestOfTheLowestClass) {
  Room<4> room;
  sit(room.seats[0], waiter(0, 4, 0));
  sit(room.seats[1], waiter(1, 2, 3 * kMillisecond));
  sit(room.seats[2], waiter(2, 2, 1 * kMillisecond));
  sit(room.seats[3], waiter(3, 3, 0));
  EXPECT_EQ(room.queue.push_out(waiter(9, 5, 0).pair(), kNow), &room.seats[2]);
  EXPECT_EQ(Seated::of(room.seats[2].load()).owner, owner_of(9));
}

TEST(WaitingQueue, InLifoPushesOutTheOldestOfTheLowestClass) {
  Room<3> room({.lifo = true});
  sit(room.seats[0], waiter(0, 2, 1 * kMillisecond));
  sit(room.seats[1], waiter(1, 2, 3 * kMillisecond));
  sit(room.seats[2], waiter(2, 2, 2 * kMillisecond));
  EXPECT_EQ(room.queue.push_out(waiter(9, 3, 0).pair(), kNow), &room.seats[1]);
}

TEST(WaitingQueue, PushesOutNobodyThatIsAsUrgent) {
  Room<2> room;
  sit(room.seats[0], waiter(0, 3, 0));
  sit(room.seats[1], waiter(1, 4, 0));
  EXPECT_EQ(room.queue.push_out(waiter(9, 3, 0).pair(), kNow), nullptr);
  EXPECT_EQ(room.queue.push_out(waiter(9, 1, 0).pair(), kNow), nullptr);
  EXPECT_EQ(room.queue.push_out(waiter(9, 4, 0).pair(), kNow), &room.seats[0]);
}

// --- ringing ---

TEST(RingNext, RingsTheFirstThatSleepsAndNobodyElse) {
  Room<3> room;
  for (std::uint32_t i = 0; i < 3; ++i) sit(room.seats[i], waiter(i, 3, (3 - i) * kMillisecond));
  room.asleep = {0, 1, 2};
  ring_next(room.queues(), kPermits, kNow, room.wake());
  EXPECT_THAT(room.rung, ElementsAre(0));
  EXPECT_EQ(room.seats[0].bell.load(kRelaxed), 1u);
  EXPECT_EQ(room.seats[1].bell.load(kRelaxed), 0u);
}

TEST(RingNext, RingsTheNextToIfTheFirstDoesNotSleep) {
  Room<3> room;
  for (std::uint32_t i = 0; i < 3; ++i) sit(room.seats[i], waiter(i, 3, (3 - i) * kMillisecond));
  room.asleep = {1, 2};
  ring_next(room.queues(), kPermits, kNow, room.wake());
  EXPECT_THAT(room.rung, ElementsAre(0, 1));
}

TEST(RingNext, RingsThoseThatDoNotAnswerLast) {
  Room<3> room;
  Seated absent = waiter(0, 5, 9 * kMillisecond);
  absent.absent = true;
  Seated late = waiter(1, 4, 9 * kMillisecond);
  late.beat = Seated::beat_at(kNow - 1'000 * kMillisecond);
  sit(room.seats[0], absent);
  sit(room.seats[1], late);
  sit(room.seats[2], waiter(2, 1, 0));
  ring_next(room.queues(), kPermits, kNow, room.wake());
  EXPECT_THAT(room.rung, ElementsAre(2, 0, 1));
}

TEST(RingNext, RingsThirtyTwoAtMost) {
  Room<40> room;
  for (std::uint32_t i = 0; i < 40; ++i) sit(room.seats[i], waiter(i, 3, (40 - i) * kMillisecond));
  ring_next(room.queues(), kPermits, kNow, room.wake());
  EXPECT_THAT(room.rung, SizeIs(32));
  EXPECT_EQ(room.rung.back(), 31u);
}

TEST(RingEach, RingsTheNextForEachThingThatCameBack) {
  Room<4> room;
  sit(room.seats[0], waiter(0, 3, 0));
  sit(room.seats[1], waiter(1, 3, kMillisecond));
  sit(room.seats[2], waiter(2, 3, 0, {Lacks::global_user_permits, kBlock + 1, kAlice}));
  sit(room.seats[3], waiter(3, 3, 0, {Lacks::quotas, kBlock, kAlice}));
  room.asleep = {0, 1, 2, 3};
  ring_each(room.queues(), {Lacks::permits | Lacks::global_user_permits, kBlock, kAlice}, kNow, room.wake());
  EXPECT_THAT(room.rung, ElementsAre(1, 2));
}

TEST(RingNext, RingsNobodyThatLacksSomethingElse) {
  Room<4> room;
  sit(room.seats[0], waiter(0, 5, 0, {Lacks::user_permits, kBlock, kAlice}));
  sit(room.seats[1], waiter(1, 5, 0, {Lacks::permits, kBlock + 1, kBob}));
  sit(room.seats[2], waiter(2, 5, 0, {Lacks::nothing, kBlock, kBob}));
  sit(room.seats[3], waiter(3, 1, 0, {Lacks::user_permits, kBlock, kBob}));
  ring_next(room.queues(), {Lacks::user_permits, kBlock, kBob}, kNow, room.wake());
  EXPECT_THAT(room.rung, ElementsAre(3));
}

TEST(RingNext, PassesOverTheSeatThatRings) {
  Room<2> room;
  for (std::uint32_t i = 0; i < 2; ++i) sit(room.seats[i], waiter(i, 3, (2 - i) * kMillisecond));
  ring_next(room.queues(), kPermits, kNow, room.wake(), &room.seats[0]);
  EXPECT_THAT(room.rung, ElementsAre(1));
}

TEST(RingAll, RingsEverySeatThatIsTaken) {
  Room<3> room;
  sit(room.seats[0], waiter(0, 3, 0));
  sit(room.seats[2], waiter(2, 3, 0, {Lacks::quotas, kBlock, 0}));
  ring_all(std::span<Seat>(room.seats), room.wake());
  EXPECT_THAT(room.rung, ElementsAre(0, 2));
}

// --- the gate ---

TEST(Gate, IsShutUntilAWaiterOpensIt) {
  Gate gate;
  EXPECT_FALSE(gate.is_open());
  gate.open();
  EXPECT_TRUE(gate.is_open());
  gate.open();
  EXPECT_TRUE(gate.is_open());
  gate.shut(gate.load());
  EXPECT_FALSE(gate.is_open());
}

TEST(Gate, StaysOpenForAWaiterThatCameWhileItWasBeingShut) {
  Gate gate;
  gate.open();
  const std::uint64_t seen = gate.load();
  gate.open();
  gate.shut(seen);
  EXPECT_TRUE(gate.is_open());
}

TEST(Gate, OfWhichAllBitsAreSetCanBeOpenedAndShut) {
  Gate gate;
  gate.word.store(kAllBits, kRelaxed);
  gate.open();
  EXPECT_TRUE(gate.is_open());
  gate.shut(gate.load());
  EXPECT_FALSE(gate.is_open());
}

TEST(ShutIfEmpty, LeavesTheGateOpenWhileASeatIsTaken) {
  Room<3> room;
  sit(room.seats[2], waiter(2, 3, 0));
  room.gate.open();
  shut_if_empty(room.gate, room.seats);
  EXPECT_TRUE(room.gate.is_open());
  sit(room.seats[2], {});
  shut_if_empty(room.gate, room.seats);
  EXPECT_FALSE(room.gate.is_open());
}

// --- seats of dead workers ---

TEST(ReclaimSeats, FreesTheSeatsOfDeadWorkersAndNoOther) {
  Room<4> room;
  for (std::uint32_t i = 0; i < 3; ++i) sit(room.seats[i], waiter(i % 2, 3, 0));
  EXPECT_EQ(reclaim_seats(room.seats, [](Owner owner) { return owner == owner_of(0); }), 2u);
  EXPECT_FALSE(Seated::of(room.seats[0].load()).taken());
  EXPECT_TRUE(Seated::of(room.seats[1].load()).taken());
  EXPECT_FALSE(Seated::of(room.seats[2].load()).taken());
}

TEST(ReclaimSeats, FreesADamagedSeatWithoutAnOwner) {
  Room<2> room;
  ASSERT_TRUE(room.seats[0].pair.replace({}, {1, 0}));
  ASSERT_TRUE(room.seats[1].pair.replace({}, {std::uint64_t{0xff} << 44, 9}));
  EXPECT_EQ(reclaim_seats(room.seats, [](Owner) { return false; }), 2u);
  EXPECT_EQ(room.queue.take(waiter(0, 3, 0).pair()), &room.seats[0]);
  EXPECT_EQ(room.queue.take(waiter(1, 3, 0).pair()), &room.seats[1]);
}

TEST(ReclaimSeats, AFreeSeatWithADamagedSecondHalfCanBeTaken) {
  Room<1> room;
  ASSERT_TRUE(room.seats[0].pair.replace({}, {0, kAllBits}));
  EXPECT_EQ(reclaim_seats(room.seats, [](Owner) { return true; }), 0u);
  EXPECT_EQ(room.queue.take(waiter(0, 3, 0).pair()), &room.seats[0]);
}

TEST(ReclaimSeats, ASeatThatWasTakenAgainMeanwhileStays) {
  Room<1> room;
  sit(room.seats[0], waiter(0, 3, 0));
  EXPECT_EQ(reclaim_seats(room.seats,
                          [&](Owner owner) {
                            if (owner != owner_of(0)) return false;
                            sit(room.seats[0], waiter(1, 3, 0));
                            return true;
                          }),
            0u);
  EXPECT_EQ(Seated::of(room.seats[0].load()).owner, owner_of(1));
}

// --- one waiter ---

/// Limits of which the test says what they answer.
struct Limits {
  WaiterAnswer answer{WaiterAnswer::Kind::lacks, Lacks::permits};
  std::function<void()> meanwhile = [] {};
  int asked = 0;
  int decided = 0;

  WaiterAnswer ask() {
    ++asked;
    meanwhile();
    return answer;
  }
  WaiterAnswer decide() {
    ++decided;
    meanwhile();
    return answer;
  }
};
constexpr WaiterAnswer kPasses{};
constexpr WaiterAnswer kEnds{WaiterAnswer::Kind::ends};
constexpr WaiterAnswer kLacksPermits{WaiterAnswer::Kind::lacks, Lacks::permits};

class WaitingLook : public ::testing::Test {
 protected:
  /// Seats of others are 0 and 2.
  Waiting take(std::uint32_t urgency = 3) {
    const Seated me = waiter(7, urgency, 0);
    sit(room_.seats[1], me);
    return {room_.seats[1], me, room_.gate};
  }
  Waiting::Next look(Waiting& waiting) {
    return waiting.look(
        needs_, room_.queues(), limits_, [this] { return now_; }, room_.wake());
  }
  Seated seat(std::size_t i) const { return Seated::of(room_.seats[i].load()); }

  Room<3> room_;
  Limits limits_;
  Wants needs_ = kPermits;
  std::uint64_t now_ = kNow;
};

TEST_F(WaitingLook, OpensTheGateWhenItBegins) {
  (void)take();
  EXPECT_TRUE(room_.gate.is_open());
}

TEST_F(WaitingLook, WithNobodyAheadIsAdmittedByTheLimits) {
  Waiting waiting = take();
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
  EXPECT_EQ(limits_.decided, 1);
  EXPECT_EQ(limits_.asked, 0);
  waiting.leave();
  EXPECT_FALSE(waiting);
  EXPECT_FALSE(seat(1).taken());
}

TEST_F(WaitingLook, EndsIfWaitingDoesNotHelp) {
  Waiting waiting = take();
  limits_.answer = kEnds;
  EXPECT_EQ(look(waiting), Waiting::Next::ends);
  sit(room_.seats[0], waiter(0, 5, 0));
  EXPECT_EQ(look(waiting), Waiting::Next::ends) << "a waiter ahead does not change that";
}

TEST_F(WaitingLook, SleepsOnTheBellAsItWasBeforeTheLook) {
  Waiting waiting = take();
  (void)ring(room_.seats[1], room_.wake());
  limits_.meanwhile = [this] { (void)ring(room_.seats[1], room_.wake()); };
  limits_.answer.until = kNow + 5;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(waiting.bell(), 1u);
  EXPECT_EQ(room_.seats[1].bell.load(kRelaxed), 2u) << "the ring of that moment would be lost";
  EXPECT_EQ(waiting.wake_at(), kNow + 5);
  EXPECT_EQ(limits_.decided, 1);
}

TEST_F(WaitingLook, IsSeenByOthers) {
  Waiting waiting = take();
  for (const bool absent : {false, true}) {
    Seated asked = seat(1);
    asked.asked = true;
    asked.absent = absent;
    sit(room_.seats[1], asked);
    now_ += 100 * kMillisecond;
    EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
    EXPECT_FALSE(seat(1).asked);
    EXPECT_TRUE(seat(1).present(now_));
    EXPECT_EQ(seat(1).beat, Seated::beat_at(now_));
    EXPECT_EQ(seat(1).arrival, asked.arrival);
    EXPECT_EQ(waiting.content().pair(), room_.seats[1].load());
  }
}

TEST_F(WaitingLook, OneThatIsAskedOrAbsentCanLeave) {
  for (const bool absent : {false, true}) {
    Waiting waiting = take();
    Seated asked = seat(1);
    asked.asked = true;
    asked.absent = absent;
    sit(room_.seats[1], asked);
    waiting.leave();
    EXPECT_FALSE(seat(1).taken());
  }
}

TEST_F(WaitingLook, IsLostToOneThatPushedItOut) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  sit(room_.seats[2], waiter(2, 4, 0));
  const Seated other = waiter(9, 5, 0);
  ASSERT_EQ(room_.queue.push_out(other.pair(), kNow), &room_.seats[1]);
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::lost);
  EXPECT_EQ(limits_.decided + limits_.asked, 0);
  waiting.leave();
  EXPECT_EQ(seat(1).owner, other.owner) << "only an own seat is freed";
}

TEST_F(WaitingLook, IsLostToASweep) {
  Waiting waiting = take();
  reclaim_seats(room_.seats, [](Owner) { return true; });
  EXPECT_EQ(look(waiting), Waiting::Next::lost);
  waiting.leave();
  EXPECT_EQ(room_.seats[1].load(), Pair{});
}

TEST_F(WaitingLook, IsLostToASweepBetweenItsRefusalAndItsSecondLook) {
  Waiting waiting = take();
  limits_.answer.what = Lacks::quotas;
  limits_.meanwhile = [this] { reclaim_seats(room_.seats, [](Owner) { return true; }); };
  EXPECT_EQ(look(waiting), Waiting::Next::lost);
  EXPECT_EQ(limits_.decided, 1);
}

TEST_F(WaitingLook, OnlyAsksTheLimitsBehindAnother) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer.until = kNow + 5;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(limits_.asked, 1);
  EXPECT_EQ(limits_.decided, 0);
  EXPECT_THAT(room_.rung, IsEmpty());
  EXPECT_EQ(waiting.wake_at(), Waiting::kNoAlarm) << "it is rung by the one ahead";
}

TEST_F(WaitingLook, PassesOverThoseThatDoNotConcernItOrDoNotAnswerOrComeLater) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 5, 0, {Lacks::user_permits, kBlock, kBob}));
  Seated absent = waiter(2, 5, 0);
  absent.absent = true;
  sit(room_.seats[2], absent);
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
  sit(room_.seats[2], waiter(2, 2, kMillisecond));
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
}

TEST_F(WaitingLook, AsksTheOneAheadOnceAndGivesItAGrace) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_TRUE(seat(0).asked);
  EXPECT_EQ(waiting.wake_at(), kNow + Waiting::kGrace);
  now_ += Waiting::kGrace - 1;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(waiting.wake_at(), kNow + Waiting::kGrace) << "the grace does not begin again";
  EXPECT_THAT(room_.rung, ElementsAre(0));
  EXPECT_FALSE(seat(0).absent);
}

// The one that asked it before may have been killed before it rang.
TEST_F(WaitingLook, RingsOneThatAnotherHasAskedAndGivesItAGrace) {
  Waiting waiting = take();
  Seated asked = waiter(0, 4, 0);
  asked.asked = true;
  sit(room_.seats[0], asked);
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(waiting.wake_at(), kNow + Waiting::kGrace);
  EXPECT_THAT(room_.rung, ElementsAre(0));
}

TEST_F(WaitingLook, LooksAgainIfTheOneAheadLeavesWhileItIsBeingAsked) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  limits_.meanwhile = [this] { sit(room_.seats[0], {}); };
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
  EXPECT_THAT(room_.rung, IsEmpty());
  EXPECT_EQ(limits_.asked, 1);
  EXPECT_EQ(limits_.decided, 1);
}

TEST_F(WaitingLook, GoesOnWithoutOneThatDoesNotLookWithinItsGrace) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  (void)look(waiting);
  now_ += Waiting::kGrace;
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
  EXPECT_TRUE(seat(0).absent);
  EXPECT_EQ(seat(0).arrival, waiter(0, 4, 0).arrival) << "it keeps its turn";
}

TEST_F(WaitingLook, GivesAGraceToEachThatIsAhead) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  sit(room_.seats[2], waiter(2, 5, 0));
  limits_.answer = kPasses;
  (void)look(waiting);
  now_ += Waiting::kGrace;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_TRUE(seat(2).absent);
  EXPECT_FALSE(seat(0).absent);
  EXPECT_THAT(room_.rung, ElementsAre(2, 0));
  EXPECT_EQ(waiting.wake_at(), now_ + Waiting::kGrace);
}

// One that needs three permits, of which one is free, looks when it is rung, within the same beat.
TEST_F(WaitingLook, ObeysOneThatLooksAndNeedsMoreThanThereIs) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  for (int times = 0; times < 10; ++times) {
    EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
    EXPECT_EQ(waiting.wake_at(), now_ + Waiting::kGrace);
    EXPECT_TRUE(seat(0).asked);
    sit(room_.seats[0], waiter(0, 4, 0));  // it looks
    now_ += Waiting::kGrace;
    EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
    EXPECT_EQ(waiting.wake_at(), Waiting::kNoAlarm) << "it is rung after the other one, and does not poll";
  }
  EXPECT_FALSE(seat(0).absent);
  EXPECT_EQ(limits_.decided, 0);
}

TEST_F(WaitingLook, GivesAGraceToAnotherWaiterInTheSameSeat) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  (void)look(waiting);
  sit(room_.seats[0], waiter(5, 4, 0));
  now_ += Waiting::kGrace;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(waiting.wake_at(), now_ + Waiting::kGrace);
  EXPECT_THAT(room_.rung, ElementsAre(0, 0));
  EXPECT_FALSE(seat(0).absent);
}

TEST_F(WaitingLook, GivesAnotherGraceForAnotherPermit) {
  Waiting waiting = take();
  sit(room_.seats[0], waiter(0, 4, 0));
  limits_.answer = kPasses;
  (void)look(waiting);
  now_ += Waiting::kGrace / 2;
  limits_.answer = kLacksPermits;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  now_ += Waiting::kGrace;
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(waiting.wake_at(), now_ + Waiting::kGrace);
  EXPECT_FALSE(seat(0).absent);
  EXPECT_THAT(room_.rung, ElementsAre(0, 0));
}

TEST_F(WaitingLook, LooksAgainAfterItsSeatSaysWhatElseItLacks) {
  Waiting waiting = take();
  limits_.answer.what = Lacks::permits | Lacks::global_permits;
  limits_.meanwhile = [&] {
    if (seat(1).lacks.what == limits_.answer.what) limits_.answer = kPasses;
  };
  EXPECT_EQ(look(waiting), Waiting::Next::admitted);
  EXPECT_EQ(limits_.decided, 2);
}

TEST_F(WaitingLook, PassesTheRingOnForWhatItDoesNotLackAnyMore) {
  Waiting waiting = take(5);
  sit(room_.seats[0], waiter(0, 3, 0));
  sit(room_.seats[2], waiter(2, 3, 0, {Lacks::global_permits, kBlock, 0}));
  room_.asleep = {0, 1, 2};
  limits_.answer.what = Lacks::global_permits;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_THAT(room_.rung, ElementsAre(0));
  EXPECT_EQ(seat(1).lacks.what, Lacks::global_permits);
}

TEST_F(WaitingLook, RingsNobodyIfItOnlyLacksMore) {
  Waiting waiting = take(5);
  sit(room_.seats[0], waiter(0, 3, 0));
  limits_.answer.what = Lacks::permits | Lacks::quotas;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_THAT(room_.rung, IsEmpty());
}

// It came while a permit was being handed to the one ahead.
TEST_F(WaitingLook, BehindAnotherItLacksWhatThatOneLacks) {
  needs_ = {Lacks::permits | Lacks::user_permits, kBlock, kAlice};
  Seated me = waiter(7, 3, 0, {Lacks::nothing, kBlock, kAlice});
  sit(room_.seats[1], me);
  Waiting waiting(room_.seats[1], me, room_.gate);
  sit(room_.seats[0], waiter(0, 4, 0, {Lacks::permits | Lacks::quotas, kBlock, kBob}));
  limits_.answer = kPasses;
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(seat(1).lacks.what, Lacks::permits);
  EXPECT_EQ(limits_.asked, 2);
  EXPECT_THAT(room_.rung, ElementsAre(0));
}

TEST_F(WaitingLook, IsOneOfSixteenAtMost) {
  Waiting waiting = take();
  limits_.meanwhile = [this] {
    limits_.answer.what = limits_.answer.what == Lacks::permits ? Lacks::quotas : Lacks::permits;
  };
  EXPECT_EQ(look(waiting), Waiting::Next::sleeps);
  EXPECT_EQ(limits_.decided, 16);
  EXPECT_EQ(waiting.wake_at(), now_ + Waiting::kGrace) << "it sleeps for a moment only";
}

TEST_F(WaitingLook, WithoutItsOwnQueueInSightLetsOthersGoFirst) {
  Waiting waiting = take();
  Room<1> elsewhere({}, 1, 3);
  sit(elsewhere.seats[0], waiter(0, 1, 0));
  limits_.answer = kPasses;
  const auto next = waiting.look(
      needs_, elsewhere.queues(), limits_, [this] { return now_; }, elsewhere.wake());
  EXPECT_EQ(next, Waiting::Next::sleeps);
}

// --- damage ---

/// All that processes do with seats and a gate of which a test has written the bytes.
void use(Room<5>& room, std::uint64_t turn) {
  room.gate.turn.store(turn, kRelaxed);
  const auto inside = [&](const Seat* seat) { return seat == nullptr || room.queue.has(*seat); };
  (void)room.order();
  ring_next(room.queues(), {~Lacks::nothing, kBlock, kAlice}, kNow, room.wake());
  ring_all(std::span<Seat>(room.seats), room.wake());
  shut_if_empty(room.gate, room.seats);

  const Seated me = waiter(7, 5, 0);
  Seat* seat = room.queue.take(me.pair());
  EXPECT_TRUE(inside(seat));
  if (seat == nullptr) seat = room.queue.push_out(me.pair(), kNow);
  EXPECT_TRUE(inside(seat));
  if (seat != nullptr) {
    Limits limits;
    std::uint64_t now = kNow;
    Waiting waiting(*seat, me, room.gate);
    EXPECT_TRUE(room.gate.is_open());
    limits.answer = kPasses;
    // Each damaged seat costs it a grace at most.
    Waiting::Next next = Waiting::Next::sleeps;
    for (int i = 0; i < 8 && next == Waiting::Next::sleeps; ++i) {
      next = waiting.look(
          kPermits, room.queues(), limits, [&] { return now; }, room.wake());
      now += Waiting::kGrace;
    }
    EXPECT_EQ(next, Waiting::Next::admitted);
    waiting.leave();
  }
  for (const std::size_t rung : room.rung) EXPECT_LT(rung, 5u);

  (void)reclaim_seats(room.seats, [](Owner) { return true; });
  for (const Seat& it : room.seats) EXPECT_EQ(it.load().first, 0u);
  shut_if_empty(room.gate, room.seats);
  EXPECT_FALSE(room.gate.is_open());
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_NE(room.queue.take(waiter(i, 1, 0).pair()), nullptr);
}

TEST(WaitingDamage, EveryByteOfASeatMayHaveAnyValue) {
  for (std::size_t byte = 0; byte < sizeof(Seat); ++byte) {
    for (unsigned value = 0; value < 256; ++value) {
      Room<5> room({.shares = {1, 1, 1, 1}});
      for (std::uint32_t i = 0; i < 4; ++i) sit(room.seats[i], waiter(i, 1 + i, kMillisecond));
      std::as_writable_bytes(std::span(room.seats))[sizeof(Seat) + byte] = static_cast<std::byte>(value);
      use(room, 0);
    }
  }
}

TEST(WaitingDamage, AllBytesMayHaveAnyValue) {
  for (unsigned value = 0; value < 256; ++value) {
    Room<5> room({.lifo = value % 2 != 0, .shares = {255, 1, 255, 1}});
    for (std::byte& byte : std::as_writable_bytes(std::span(room.seats)))
      byte = static_cast<std::byte>(value);
    for (std::byte& byte : std::as_writable_bytes(std::span(&room.gate, 1)))
      byte = static_cast<std::byte>(value);
    use(room, kAllBits / 255 * value);
  }
}

TEST(WaitingDamage, RandomBytesAreEndured) {
  std::mt19937_64 random(15);
  for (int round = 0; round < 5'000; ++round) {
    Room<5> room({.lifo = random() % 2 != 0, .shares = {1, 2, 3, 4}});
    for (std::byte& byte : std::as_writable_bytes(std::span(room.seats)))
      byte = static_cast<std::byte>(random());
    room.gate.word.store(random(), kRelaxed);
    SCOPED_TRACE(round);
    use(room, random());
  }
}

}  // namespace
}  // namespace weir::test

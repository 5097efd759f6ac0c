// SPDX-License-Identifier: Apache-2.0

// Waiters and those that wake them, under every interleaving and kill: nobody sleeps beside a permit that it could have.
//
// A process sleeps as on a futex: it compares its bell and falls asleep in one step, and goes on when it is rung. Time
// passes only when no process can go on, and then in the check: first the graces of waiters that let another one go
// first; after a kill also a slice, and then a sweep. So without a kill nothing may depend on slices. Where waiters are
// impatient, a grace may also end at once, at any step of the others.

#include "primitives/waiting.hpp"

#include <array>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>

#include "base/ticks.hpp"
#include "primitives/permits.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Gate;
using detail::Lacks;
using detail::Owner;
using detail::Permit;
using detail::Permits;
using detail::Seat;
using detail::Seated;
using detail::SeenSeat;
using detail::ticks_from_ns;
using detail::WaiterAnswer;
using detail::Waiting;
using detail::WaitingKey;
using detail::WaitingQueue;
using detail::Wants;
using detail::Word;
using ::testing::HasSubstr;

constexpr auto kRelaxed = std::memory_order_relaxed;
// In the middle of a beat.
constexpr std::uint64_t kStart = (std::uint64_t{100} << Seated::kBeatShift) + (std::uint64_t{1} << 30);
constexpr std::uint64_t kSlice = ticks_from_ns(50'000'000);
constexpr std::uint32_t kBlock = 3;
constexpr std::uint32_t kAlice = 1;
constexpr Wants kPermits{Lacks::permits, kBlock, 0};
constexpr Wants kPermitsOfAlice{Lacks::user_permits, kBlock, kAlice};
constexpr Wants kBoth{Lacks::user_permits | Lacks::permits, kBlock, kAlice};

/// Planted faults, which show that these schedules would find such.
enum class Fault {
  none,
  no_second_look,
  no_pass_on,
  silent_undo,
  ring_before_the_cell_is_free,
  gate_shut_without_its_epoch,
  no_ring_when_it_leaves,
  no_chain,
  one_ring_for_all,
  sleeper_taken_for_granted,
  newcomer_ignores_the_gate,
  absent_one_is_obeyed,
};

Owner owner_of(std::size_t process) {
  return {static_cast<std::uint32_t>(process), 1};
}
constexpr std::size_t kStays = 9;  // holds what it holds, for ever

/// What one process is about.
struct Caller {
  enum class State : std::uint64_t { outside, waits, inside, gone };

  Wants needs = kPermits;
  std::uint32_t urgency = 3;
  std::uint32_t weight = 1;

  State state = State::outside;
  Waiting waiting;
  Permit permit;
  Permit of_user;
  std::uint64_t asleep = 0;
  bool stopped = false;  // for as long as it matters
  std::uint64_t arrival = 0;
  std::uint64_t before = 0;  // a bit for each process that waited when this one came
};

struct Memory {
  static constexpr std::size_t kCallers = 4;

  Fault fault = Fault::none;
  Program* program = nullptr;
  Word clock{kStart};
  bool impatient = false;
  std::uint64_t seats_usable = 2;
  std::uint64_t permits_usable = 1;
  std::uint64_t arrivals = 0;
  bool push_out = false;

  Gate gate;
  std::array<Seat, 3> seats;
  std::array<Word, 2> cells;
  std::array<Word, 1> cells_of_alice;
  std::array<Caller, kCallers> callers;

  /// A step only where time passes meanwhile.
  [[nodiscard]] std::uint64_t now() const { return impatient || in_check ? clock.load(kRelaxed) : kStart; }
  void pass_to(std::uint64_t time) {
    if (time > now()) clock.store(time, kRelaxed);
  }

  [[nodiscard]] Permits permits() { return Permits(cells); }
  [[nodiscard]] Permits permits_of_alice() { return Permits(cells_of_alice); }
  [[nodiscard]] WaitingQueue queue() {
    return {seats, static_cast<std::uint32_t>(seats_usable), 0, {}, gate.turn};
  }
  [[nodiscard]] auto queues() {
    return [this](auto&& visit) { visit(queue()); };
  }
  /// FUTEX_WAKE. The kernel forgets processes that were killed or stopped.
  [[nodiscard]] auto wake() {
    return [this](const Word& bell) {
      bool woken = false;
      for (std::size_t p = 0; p < kCallers; ++p) {
        if (callers[p].asleep == 0 || callers[p].stopped) continue;
        if (&callers[p].waiting.seat().bell != &bell) continue;
        if (!alive(p)) continue;
        callers[p].asleep = 0;
        woken = true;
      }
      return woken || fault == Fault::sleeper_taken_for_granted;
    };
  }
  [[nodiscard]] bool alive(std::size_t p) const {
    return program == nullptr || program->alive(ProcessId{static_cast<std::uint8_t>(p)});
  }

  // --- the limits ---

  /// The limits as one process sees them in one look.
  struct Limits {
    Memory& memory;
    std::size_t p;
    WaiterAnswer last{};
    bool muted = false;  // a planted fault: the ring that comes next reaches nobody

    WaiterAnswer ask() {
      return look([&]() -> WaiterAnswer {
        const Caller& me = memory.callers[p];
        if (needs(Lacks::user_permits) && !memory.permits_of_alice().available(1, 1, 0))
          return {WaiterAnswer::Kind::lacks, Lacks::user_permits};
        if (needs(Lacks::permits) && !memory.permits().available(memory.limit(), me.weight, 0))
          return {WaiterAnswer::Kind::lacks, Lacks::permits};
        return {};
      });
    }
    WaiterAnswer decide() {
      return look([&] { return memory.take(p); });
    }

   private:
    template <class Look>
    WaiterAnswer look(Look&& first_look) {
      const bool again = last.kind == WaiterAnswer::Kind::lacks;
      if (memory.fault == Fault::no_second_look && again) return last;
      last = first_look();
      muted = memory.fault == Fault::no_pass_on && last.kind == WaiterAnswer::Kind::lacks &&
              last.what != memory.callers[p].waiting.content().lacks.what;
      return last;
    }
    [[nodiscard]] bool needs(Lacks what) const {
      return (memory.callers[p].needs.what & what) != Lacks::nothing;
    }
  };

  [[nodiscard]] std::uint32_t limit() const { return static_cast<std::uint32_t>(permits_usable); }

  /// Takes all that a process needs, or nothing.
  WaiterAnswer take(std::size_t p) {
    Caller& me = callers[p];
    if ((me.needs.what & Lacks::user_permits) != Lacks::nothing) {
      me.of_user = permits_of_alice().take(owner_of(p), 1, 1, 0, now());
      if (!me.of_user) return {WaiterAnswer::Kind::lacks, Lacks::user_permits};
    }
    if ((me.needs.what & Lacks::permits) != Lacks::nothing) {
      me.permit = permits().take(owner_of(p), limit(), me.weight, 0, now());
      if (!me.permit) {
        Lacks undone = me.weight > 1 ? Lacks::permits : Lacks::nothing;
        if (me.of_user) undone = undone | Lacks::user_permits;
        if (me.of_user) permits_of_alice().give_back(me.of_user);
        me.of_user = {};
        if (fault != Fault::silent_undo) came_back(me.needs.only(undone), p);
        return {WaiterAnswer::Kind::lacks, Lacks::permits};
      }
    }
    me.state = Caller::State::inside;
    return {};
  }

  // --- the callers ---

  /// A cell is free again.
  void came_back(const Wants& what, std::size_t by) {
    detail::exchange_before_load();
    if (!gate.is_open()) return;
    const Caller& me = callers[by];
    const Seat* const own = me.waiting ? &me.waiting.seat() : nullptr;
    if (fault == Fault::one_ring_for_all) return ring_next(queues(), what, now(), wake(), own);
    ring_each(queues(), what, now(), wake(), own);
  }

  void release(std::size_t p) {
    Caller& me = callers[p];
    if (fault == Fault::ring_before_the_cell_is_free) came_back(me.needs, p);
    if (me.permit) permits().give_back(me.permit);
    if (me.of_user) permits_of_alice().give_back(me.of_user);
    if (fault != Fault::ring_before_the_cell_is_free) came_back(me.needs, p);
    me.permit = {};
    me.of_user = {};
    me.state = Caller::State::gone;
  }

  /// A request that waits if it must. @return whether it is inside.
  bool come(std::size_t p) {
    Caller& me = callers[p];
    const bool open = gate.is_open();
    me.arrival = (kStart >> Seated::kArrivalShift) + ++arrivals;
    for (std::size_t q = 0; q < kCallers; ++q) {
      if (callers[q].state == Caller::State::waits && callers[q].urgency >= me.urgency)
        me.before |= std::uint64_t{1} << q;
    }
    if (!open || fault == Fault::newcomer_ignores_the_gate || !goes_first(p)) {
      const WaiterAnswer answer = take(p);
      if (answer.kind == WaiterAnswer::Kind::passes) return admitted(p);
      return sit_down(p, answer.what) && wait(p);
    }
    return sit_down(p, me.needs.what) && wait(p);
  }
  [[nodiscard]] bool goes_first(std::size_t p) {
    const Caller& me = callers[p];
    const SeenSeat first = detail::first_waiter(queues(), {me.needs, now()});
    return first && first.key < WaitingQueue::Now(queue(), now()).key(me.urgency, me.arrival, seats.size());
  }

  bool sit_down(std::size_t p, Lacks lacks) {
    Caller& me = callers[p];
    const Seated content{.owner = owner_of(p),
                         .urgency = me.urgency,
                         .arrival = me.arrival,
                         .beat = Seated::beat_at(now()),
                         .lacks = me.needs.only(lacks)};
    Seat* seat = queue().take(content.pair());
    if (seat == nullptr && push_out) {
      seat = queue().push_out(content.pair(), now());
      if (seat != nullptr) (void)ring(*seat, wake());
    }
    if (seat == nullptr) {
      me.state = Caller::State::gone;
      return false;
    }
    me.waiting = Waiting(*seat, content, gate);
    me.state = Caller::State::waits;
    return true;
  }

  /// Looks, and sleeps as on a futex. @return whether it was admitted, or whether it sleeps in check().
  bool wait(std::size_t p, bool cancelled = false) {
    Caller& me = callers[p];
    for (;;) {
      const Waiting::Next next = look(p);
      if (next != Waiting::Next::sleeps) return leave(p, next);
      if (cancelled) return leave(p, Waiting::Next::ends);
      if (me.waiting.seat().bell.load(kRelaxed) != me.waiting.bell()) continue;
      if (impatient && !in_check && me.waiting.wake_at() != Waiting::kNoAlarm) {
        pass_to(me.waiting.wake_at());
        continue;
      }
      me.asleep = 1;
      if (in_check) return false;
      program->sleep(me.asleep);
    }
  }
  [[nodiscard]] Waiting::Next look(std::size_t p) {
    Limits limits{*this, p};
    const auto seen = [&](auto&& visit) {
      if (!limits.muted) visit(queue());
    };
    const auto at = [&] {
      limits.muted = false;
      return fault == Fault::absent_one_is_obeyed ? kStart : now();
    };
    return callers[p].waiting.look(callers[p].needs, seen, limits, at, wake());
  }

  /// Steps 7 and 8.
  bool leave(std::size_t p, Waiting::Next how) {
    Caller& me = callers[p];
    const bool inside = how == Waiting::Next::admitted;
    const Wants lacked = me.waiting.content().lacks;
    if (how == Waiting::Next::lost && me.urgency == Seated::kClasses) pushed_out_of_turn = 1;
    if (inside) (void)admitted(p);
    if (!inside) me.state = Caller::State::gone;
    me.waiting.leave();
    if (inside && fault != Fault::no_chain) {
      Lacks left = Lacks::nothing;
      if (permits().available(limit(), 1, 0)) left = left | Lacks::permits;
      if (permits_of_alice().available(1, 1, 0)) left = left | Lacks::user_permits;
      ring_each(queues(), me.needs.only(left), now(), wake());
    }
    if (!inside && fault != Fault::no_ring_when_it_leaves) ring_each(queues(), lacked, now(), wake());
    shut();
    return inside;
  }
  void shut() {
    if (fault != Fault::gate_shut_without_its_epoch) return shut_if_empty(gate, seats);
    for (const Seat& seat : seats) {
      if (seat.pair.load_first(kRelaxed) != 0) return;
    }
    gate.shut(gate.load());
  }

  bool admitted(std::size_t p) {
    for (std::size_t q = 0; q < kCallers; ++q) {
      const Caller& other = callers[q];
      if ((callers[p].before >> q & 1) == 0 || other.state != Caller::State::waits) continue;
      if (other.waiting.content().lacks.concerns(callers[p].needs) && alive(q)) overtaken = 1;
    }
    callers[p].state = Caller::State::inside;
    return true;
  }

  // --- what must hold ---

  std::uint64_t overtaken = 0;
  std::uint64_t pushed_out_of_turn = 0;
  bool in_check = false;

  [[nodiscard]] bool can_go_on(std::size_t p) const {
    return callers[p].state == Caller::State::waits && !callers[p].stopped && alive(p);
  }
  /// Lets all go on that were woken, or whose alarm rings.
  [[nodiscard]] Complaint come_to_rest() {
    for (int rounds = 0; rounds < 32; ++rounds) {
      bool moved = false;
      for (std::size_t p = 0; p < kCallers; ++p) {
        Caller& it = callers[p];
        if (!can_go_on(p)) continue;
        if (it.asleep != 0) {
          if (it.waiting.wake_at() == Waiting::kNoAlarm) continue;
          pass_to(it.waiting.wake_at());
          it.asleep = 0;
        }
        (void)wait(p);
        moved = true;
      }
      if (!moved) return std::nullopt;
    }
    return "the waiters never come to rest";
  }
  [[nodiscard]] Complaint sleeps_in_vain() {
    if (Complaint restless = come_to_rest()) return restless;
    for (std::size_t p = 0; p < kCallers; ++p) {
      if (!can_go_on(p) || lets_another_go_first(p)) continue;
      if (Limits{*this, p}.ask().kind == WaiterAnswer::Kind::passes)
        return "process " + std::to_string(p) + " sleeps beside a free permit";
    }
    return std::nullopt;
  }
  /// Another one that needs more than there is, or sleeps in vain itself.
  [[nodiscard]] bool lets_another_go_first(std::size_t p) const {
    const Caller& me = callers[p];
    for (std::size_t q = 0; q < kCallers; ++q) {
      const Caller& other = callers[q];
      if (!can_go_on(q)) continue;
      const bool first =
          other.urgency != me.urgency ? other.urgency > me.urgency : other.arrival < me.arrival;
      if (first && other.waiting.content().lacks.concerns(me.needs)) return true;
    }
    return false;
  }
  void end_slices() {
    pass_to(now() + kSlice);
    for (Caller& it : callers) it.asleep = 0;
  }
  [[nodiscard]] bool anybody_killed() const {
    for (std::size_t p = 0; p < kCallers; ++p) {
      if (callers[p].needs.what != Lacks::nothing && !alive(p)) return true;
    }
    return false;
  }
  void sweep() {
    const auto gone = [&](Owner owner) { return owner.slot() < kCallers && !alive(owner.slot()); };
    permits().reclaim(gone);
    permits_of_alice().reclaim(gone);
    reclaim_seats(seats, gone);
    ring_all(std::span<Seat>(seats), wake());
  }

  /// Called when all have ended, sleep or were killed.
  [[nodiscard]] Complaint is_wrong() {
    in_check = true;
    if (overtaken != 0 && !impatient) return "a waiter was overtaken";
    if (anybody_killed()) {
      if (Complaint restless = come_to_rest()) return restless;
    } else {
      if (Complaint vain = sleeps_in_vain()) return vain;
      if (gate.is_open() && seats_taken() == 0) return "the gate of an empty queue stays open";
    }
    end_slices();
    if (Complaint vain = sleeps_in_vain()) return vain;
    sweep();
    if (Complaint vain = sleeps_in_vain()) return vain;
    if (pushed_out_of_turn != 0) return "one of the most urgent class was pushed out";
    return does_not_come_back();
  }
  [[nodiscard]] std::uint32_t seats_taken() const {
    std::uint32_t taken = 0;
    for (const Seat& seat : seats) taken += seat.pair.load_first(kRelaxed) != 0 ? 1 : 0;
    return taken;
  }
  /// All that survive leave.
  [[nodiscard]] Complaint does_not_come_back() {
    for (std::size_t p = 0; p < kCallers; ++p) {
      if (!alive(p)) continue;
      if (callers[p].state == Caller::State::waits) (void)leave(p, Waiting::Next::ends);
      if (callers[p].state == Caller::State::inside) release(p);
    }
    if (seats_taken() != 0) return "a seat is lost for ever";
    const auto held = [](Permits permits) {
      std::uint32_t count = 0;
      permits.for_each(
          [&](std::uint64_t word) { count += detail::permit_word::owner(word) == owner_of(kStays) ? 0 : 1; });
      return count;
    };
    if (held(permits()) + held(permits_of_alice()) != 0) return "a permit is lost for ever";
    shut_if_empty(gate, seats);
    if (gate.is_open()) return "the gate cannot be shut";
    return std::nullopt;
  }

  // --- the beginning ---

  void holds(std::size_t p, std::uint32_t weight = 1) {
    callers[p].weight = weight;
    ASSERT_EQ(take(p).kind, WaiterAnswer::Kind::passes);
  }
  void stays_in_a_cell() { ASSERT_TRUE(permits().take(owner_of(kStays), limit(), 1, 0, now())); }
  void sleeps(std::size_t p) {
    in_check = true;
    ASSERT_FALSE(come(p));
    ASSERT_EQ(callers[p].asleep, 1u);
    in_check = false;
  }
};

/// The memory at the start, and the processes that use it.
class Case {
 public:
  explicit Case(Fault fault = Fault::none) {
    memory.fault = fault;
    for (Caller& caller : memory.callers) caller.needs = {};
    program.shared(memory, "memory")
        .name(memory.gate.word, "gate")
        .name(memory.cells, "cell")
        .name(memory.cells_of_alice, "cell of alice");
    for (std::size_t i = 0; i < memory.seats.size(); ++i) {
      program.name(memory.seats[i].pair, "seat[" + std::to_string(i) + "]")
          .name(memory.seats[i].bell, "bell[" + std::to_string(i) + "]");
    }
    program.check([this] { return memory.is_wrong(); });
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  Caller& caller(std::size_t p, const Wants& needs = kPermits) {
    memory.callers[p].needs = needs;
    return memory.callers[p];
  }
  void comes(const std::string& name, bool stays_inside = true) {
    add(name, [this, stays_inside](std::size_t p) {
      if (memory.come(p) && !stays_inside) memory.release(p);
    });
  }
  /// Does not wait.
  void tries(const std::string& name) {
    add(name, [this](std::size_t p) { (void)memory.take(p); });
  }
  /// Sleeps at the start.
  void goes_on(const std::string& name, bool stays_inside = true) {
    add(name, [this, stays_inside](std::size_t p) {
      program.sleep(memory.callers[p].asleep);
      if (memory.wait(p) && !stays_inside) memory.release(p);
    });
  }
  /// Has a seat at the start and is about to look; `cancelled`: for the last time.
  void looks(const std::string& name, bool cancelled = false, bool stays_inside = true) {
    memory.callers[next_].asleep = 0;
    add(name, [this, cancelled, stays_inside](std::size_t p) {
      if (memory.wait(p, cancelled) && !stays_inside) memory.release(p);
    });
  }
  /// Sleeps at the start, and leaves when it is rung: at the same time it was cancelled.
  void gives_up(const std::string& name) {
    add(name, [this](std::size_t p) {
      program.sleep(memory.callers[p].asleep);
      (void)memory.leave(p, Waiting::Next::ends);
    });
  }
  void releases(const std::string& name) {
    add(name, [this](std::size_t p) { memory.release(p); });
  }
  void sweeps(const std::string& name) {
    add(name, [this](std::size_t) { memory.sweep(); });
  }
  Verdict explore(const Options& options) {
    memory.program = &program;
    return test::explore(program, options);
  }

  Memory memory;
  Program program;

 private:
  void add(const std::string& name, std::function<void(std::size_t)> body) {
    program.process(name, [p = next_, body = std::move(body)] { body(p); });
    ++next_;
  }

  std::size_t next_ = 0;
};

/// In these programs a bound on the preemptions is what ends the search.
constexpr Options kNoKill{.max_preemptions = 3, .min_states = 500};
constexpr Options kOneKill{.max_kills = 1, .max_preemptions = 2, .min_states = 1'000};

void expect_none(const Verdict& verdict) {
  EXPECT_TRUE(verdict.ok()) << verdict;
}
void expect_found(const Verdict& verdict, const char* failure) {
  EXPECT_THAT(verdict.failure, HasSubstr(failure)) << verdict;
}
constexpr auto kInVain = "sleeps beside a free permit";

// --- a waiter and a process that gives its permit back ---

Verdict wait_and_release(Fault fault, const Options& options) {
  Case it(fault);
  it.caller(0);
  it.caller(1);
  it.memory.holds(1);
  it.comes("waiter");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AWaiterNeverSleepsBesideAFreePermit) {
  expect_none(wait_and_release(Fault::none, {.min_states = 500}));
}
TEST(WaitingSchedules, AWaiterNeverSleepsBesideAFreePermitWhateverIsKilled) {
  expect_none(wait_and_release(Fault::none, {.max_kills = 2, .min_states = 500}));
}
TEST(WaitingSchedules, ARingBeforeTheCellIsFreeIsFound) {
  expect_found(wait_and_release(Fault::ring_before_the_cell_is_free, {}), kInVain);
}

// --- two waiters ---

Verdict two_wait_for_one_of_two(Fault fault, const Options& options) {
  Case it(fault);
  it.memory.permits_usable = 2;
  it.memory.stays_in_a_cell();
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.comes("first");
  it.comes("second");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, OfTwoWaitersTheFirstGetsThePermitThatComesBack) {
  expect_none(two_wait_for_one_of_two(Fault::none, kNoKill));
}
TEST(WaitingSchedules, OfTwoWaitersOneGetsThePermitThatComesBackWhateverIsKilled) {
  expect_none(two_wait_for_one_of_two(Fault::none, kOneKill));
}

Verdict two_wait_and_go(const Options& options) {
  Case it;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.comes("first", false);
  it.comes("second", false);
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AllAreAdmittedOneAfterTheOtherAndTheGateIsShut) {
  expect_none(two_wait_and_go({.max_preemptions = 2, .min_states = 500}));
}

/// Two permits come back at once, and one of the waiters is rung.
Verdict two_permits_come_back(Fault fault, Options options) {
  Case it(fault);
  it.memory.permits_usable = 2;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2, 2);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  it.goes_on("first");
  it.goes_on("second");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, TwoPermitsThatComeBackAtOnceReachTwoWaiters) {
  expect_none(two_permits_come_back(Fault::none, {.min_states = 100}));
}
TEST(WaitingSchedules, TwoPermitsThatComeBackAtOnceReachThoseThatSurvive) {
  expect_none(two_permits_come_back(Fault::none, {.max_kills = 2, .min_states = 500}));
}
TEST(WaitingSchedules, AnAdmittedWaiterThatRingsNobodyIsFound) {
  expect_found(two_permits_come_back(Fault::no_chain, kNoKill), kInVain);
}

/// Two things come back at once, each of which another waiter lacks.
Verdict two_kinds_come_back(Fault fault, const Options& options) {
  Case it(fault);
  it.caller(0, kPermitsOfAlice);
  it.caller(1);
  it.caller(2, kBoth);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  it.goes_on("first");
  it.goes_on("second");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, TwoThingsThatComeBackAtOnceReachTwoWaiters) {
  expect_none(two_kinds_come_back(Fault::none, {.min_states = 100}));
}
TEST(WaitingSchedules, OneRingForTwoThingsIsFound) {
  expect_found(two_kinds_come_back(Fault::one_ring_for_all, {}), kInVain);
}

Verdict three_wait_and_go(const Options& options) {
  Case it;
  it.memory.seats_usable = 3;
  for (std::size_t p = 0; p < 4; ++p) it.caller(p);
  it.memory.holds(3);
  for (std::size_t p = 0; p < 3; ++p) it.memory.sleeps(p);
  for (const char* const name : {"first", "second", "third"}) it.looks(name, false, false);
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, ThreeAreAdmittedInTheirOrder) {
  expect_none(three_wait_and_go({.max_preemptions = 1, .min_states = 500}));
}

/// The first one may be killed in its sleep.
Verdict kill_a_sleeper(Fault fault, bool sweeper, const Options& options) {
  Case it(fault);
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  it.goes_on("first");
  it.goes_on("second");
  it.releases("releaser");
  if (sweeper) it.sweeps("sweeper");
  return it.explore(options);
}
TEST(WaitingSchedules, NobodyWaitsForOneThatDoesNotAnswer) {
  expect_none(kill_a_sleeper(Fault::none, false, {.max_kills = 2, .min_states = 100}));
}
TEST(WaitingSchedules, ASweepMayComeAtAnyTime) {
  expect_none(kill_a_sleeper(Fault::none, true, {.max_kills = 1, .max_preemptions = 1, .min_states = 500}));
}
TEST(WaitingSchedules, ObeyingOneThatDoesNotAnswerIsFound) {
  expect_found(kill_a_sleeper(Fault::absent_one_is_obeyed, false, {.max_kills = 1}), "never come to rest");
}

/// The first one is stopped in its sleep. The second one needs no slice to find out.
Verdict stop_a_sleeper(Fault fault, bool asleep, const Options& options) {
  Case it(fault);
  for (const std::size_t p : {0U, 1U, 3U}) it.caller(p);
  it.memory.holds(1);
  it.memory.sleeps(3);
  it.memory.callers[3].stopped = true;
  it.memory.sleeps(0);
  if (asleep) {
    it.goes_on("waiter");
  } else {
    it.looks("waiter");
  }
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, BehindOneThatIsStoppedAGraceIsAllThatIsLost) {
  expect_none(stop_a_sleeper(Fault::none, true, {.min_states = 30}));
  expect_none(stop_a_sleeper(Fault::none, false, {.min_states = 100}));
}
TEST(WaitingSchedules, ARingThatTakesASleeperForGrantedIsFound) {
  expect_found(stop_a_sleeper(Fault::sleeper_taken_for_granted, true, {}), kInVain);
}

/// The second one gives the first no time, so that it marks it absent at any step of it.
Verdict be_impatient(std::uint32_t weight, const Options& options) {
  Case it;
  it.memory.impatient = true;
  it.memory.permits_usable = 2;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.caller(0).weight = weight;
  it.memory.holds(2, 2);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  it.goes_on("first");
  it.looks("second");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AWaiterThatIsMarkedAbsentAtAnyTimeGoesOn) {
  for (const std::uint32_t weight : {1U, 2U})
    expect_none(be_impatient(weight, {.max_preemptions = 2, .min_states = 500}));
}
TEST(WaitingSchedules, AWaiterThatIsMarkedAbsentAtAnyTimeGoesOnWhateverIsKilled) {
  expect_none(be_impatient(1, {.max_kills = 1, .max_preemptions = 1, .min_states = 500}));
}

// --- a newcomer ---

Verdict newcomer_and_waiter(Fault fault, const Options& options) {
  Case it(fault);
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.goes_on("waiter");
  it.comes("newcomer");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, ANewcomerOvertakesNobody) {
  expect_none(newcomer_and_waiter(Fault::none, kNoKill));
}
TEST(WaitingSchedules, ANewcomerAndAWaiterWhicheverIsKilled) {
  expect_none(newcomer_and_waiter(Fault::none, kOneKill));
}
TEST(WaitingSchedules, ANewcomerThatIgnoresTheGateIsFound) {
  expect_found(newcomer_and_waiter(Fault::newcomer_ignores_the_gate, kNoKill), "a waiter was overtaken");
}

// --- a waiter that gives up ---

Verdict give_up(Fault fault, bool rung, const Options& options) {
  Case it(fault);
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  if (rung) {
    it.gives_up("canceller");
  } else {
    it.looks("canceller", true);
  }
  it.goes_on("waiter");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AWaiterThatGivesUpPassesItsRingOn) {
  expect_none(give_up(Fault::none, false, kNoKill));
  expect_none(give_up(Fault::none, true, {.min_states = 100}));
}
TEST(WaitingSchedules, AWaiterThatGivesUpOrIsKilledHoldsUpNobody) {
  expect_none(give_up(Fault::none, false, kOneKill));
  expect_none(give_up(Fault::none, true, {.max_kills = 1, .min_states = 100}));
}
TEST(WaitingSchedules, OneThatGivesUpAndRingsNobodyIsFound) {
  expect_found(give_up(Fault::no_ring_when_it_leaves, true, {}), kInVain);
}

/// The last one leaves and shuts the gate, while another comes.
Verdict shut_the_gate(Fault fault, const Options& options) {
  Case it(fault);
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.looks("canceller", true);
  it.comes("newcomer");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, TheGateIsNotShutBehindANewcomer) {
  expect_none(shut_the_gate(Fault::none, kNoKill));
}
TEST(WaitingSchedules, TheGateIsNotShutBehindANewcomerWhateverIsKilled) {
  expect_none(shut_the_gate(Fault::none, kOneKill));
}
TEST(WaitingSchedules, AGateThatIsShutWithoutItsEpochIsFound) {
  expect_found(shut_the_gate(Fault::gate_shut_without_its_epoch, kNoKill), kInVain);
}

// --- charges that are undone ---

/// A request takes the permit of its user, and gives it back since the operation has none.
Verdict undo_a_charge(Fault fault, const Options& options) {
  Case it(fault);
  it.memory.stays_in_a_cell();
  it.caller(0, kPermitsOfAlice);
  it.caller(1, kBoth);
  it.comes("waiter");
  it.tries("other");
  return it.explore(options);
}
TEST(WaitingSchedules, AChargeThatIsUndoneRings) {
  expect_none(undo_a_charge(Fault::none, {.min_states = 500}));
}
TEST(WaitingSchedules, AChargeThatIsUndoneRingsWhateverIsKilled) {
  expect_none(undo_a_charge(Fault::none, {.max_kills = 1, .min_states = 500}));
}
TEST(WaitingSchedules, ASilentUndoIsFound) {
  expect_found(undo_a_charge(Fault::silent_undo, {}), kInVain);
}

/// A request takes one of the two permits that it needs, and gives it back.
Verdict undo_a_part(Fault fault, const Options& options) {
  Case it(fault);
  it.memory.permits_usable = 2;
  it.caller(0);
  it.caller(1).weight = 2;
  EXPECT_TRUE(it.memory.permits().take_at(owner_of(kStays), 1, kStart));
  it.comes("waiter");
  it.tries("heavy");
  return it.explore(options);
}
TEST(WaitingSchedules, APartOfAWeightThatIsUndoneRings) {
  expect_none(undo_a_part(Fault::none, {.min_states = 500}));
}
TEST(WaitingSchedules, ASilentUndoOfAPartIsFound) {
  expect_found(undo_a_part(Fault::silent_undo, {}), kInVain);
}

/// One that needs two permits is not passed over by one that needs one.
Verdict heavy_and_light(const Options& options) {
  Case it;
  it.memory.permits_usable = 2;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.caller(0).weight = 2;
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.goes_on("heavy");
  it.comes("light");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, OneThatNeedsTwoPermitsIsObeyedByOneThatNeedsOne) {
  expect_none(heavy_and_light(kNoKill));
}
TEST(WaitingSchedules, OneThatNeedsTwoPermitsAndIsKilledHoldsUpNobody) {
  expect_none(heavy_and_light(kOneKill));
}

// --- what a waiter lacks changes ---

/// The first waiter is rung for a permit, but lacks one of its user by then.
Verdict lack_something_else(Fault fault, const Options& options) {
  Case it(fault);
  it.caller(0, kBoth);
  it.caller(1);
  it.caller(2, kPermitsOfAlice);
  it.caller(3);
  it.memory.holds(3);
  it.memory.sleeps(0);
  it.memory.sleeps(1);
  it.goes_on("alice");
  it.goes_on("bob");
  it.tries("alice again");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AWaiterThatLacksSomethingElsePassesItsRingOn) {
  expect_none(lack_something_else(Fault::none, kNoKill));
}
TEST(WaitingSchedules, AWaiterThatLacksSomethingElseOrIsKilledHoldsUpNobody) {
  expect_none(lack_something_else(Fault::none, kOneKill));
}
TEST(WaitingSchedules, ARingThatIsNotPassedOnIsFound) {
  expect_found(lack_something_else(Fault::no_pass_on, kNoKill), kInVain);
}

/// A waiter that is rung for a permit of the operation lacks one of its user, which comes back meanwhile.
Verdict comes_back_meanwhile(Fault fault, const Options& options) {
  Case it(fault);
  it.caller(0, kBoth);
  it.caller(1, kPermitsOfAlice);
  it.caller(2);
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.memory.holds(1);
  it.goes_on("waiter");
  it.releases("other of alice");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, AWaiterThatLacksSomethingElseLooksAgain) {
  expect_none(comes_back_meanwhile(Fault::none, {.min_states = 500}));
}
TEST(WaitingSchedules, AWaiterThatLacksSomethingElseLooksAgainWhateverIsKilled) {
  expect_none(comes_back_meanwhile(Fault::none, {.max_kills = 1, .min_states = 500}));
}
TEST(WaitingSchedules, AWaiterThatDoesNotLookAgainIsFound) {
  expect_found(comes_back_meanwhile(Fault::no_second_look, {}), kInVain);
}

// --- push-out ---

/// A waiter looks while a more urgent one takes its seat.
Verdict push_out(const Options& options) {
  Case it;
  it.memory.seats_usable = 1;
  it.memory.push_out = true;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.caller(0).urgency = 1;
  it.caller(1).urgency = 5;
  it.memory.holds(2);
  it.memory.sleeps(0);
  it.looks("loser");
  it.comes("urgent");
  it.releases("releaser");
  return it.explore(options);
}
TEST(WaitingSchedules, ASeatIsPushedOutOrItsOwnerAdmittedNeverHalf) {
  expect_none(push_out(kNoKill));
}
/// The seat that is about to be pushed out is left, and taken by one of the most urgent class.
Verdict push_out_of_turn() {
  Case it;
  it.memory.stays_in_a_cell();
  it.memory.seats_usable = 1;
  it.memory.push_out = true;
  for (std::size_t p = 0; p < 3; ++p) it.caller(p);
  it.caller(0).urgency = 1;
  it.caller(1).urgency = 5;
  it.memory.sleeps(0);
  it.looks("loser", true);
  it.comes("urgent");
  it.comes("other");
  return it.explore({.max_preemptions = 2, .min_states = 500});
}
TEST(WaitingSchedules, ASeatIsPushedOutAsItWasSeenOrNotAtAll) {
  expect_none(push_out_of_turn());
}
TEST(WaitingSchedules, ASeatIsPushedOutWhateverIsKilled) {
  expect_none(push_out(kOneKill));
}

}  // namespace
}  // namespace weir::test

// SPDX-License-Identifier: Apache-2.0

// Requests that wait, as a user of a limiter meets them. Threads stand for processes where nothing dies.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <gtest/gtest.h>
#include <initializer_list>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"

#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "binding/waiting_ticket.hpp"
#include "support/child.hpp"
#include "support/segment_name.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

class LimiterWaiting : public ::testing::Test {
 protected:
  void open(const std::string& toml) {
    auto parsed = parse_config(toml, "test");
    ASSERT_TRUE(parsed) << parsed.error().message();
    config = *parsed;
    config.segment.name = name.str();
    binding = another();
    ASSERT_TRUE(binding);
    work = *binding->impl().operations().find("work");
  }
  [[nodiscard]] std::unique_ptr<SegmentBinding> another() const {
    auto opened = SegmentBinding::over(attach_or_publish(config));
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  Admission admit(const Request& request = {}) { return binding->admit(work, request, TimePasses{}); }

  [[nodiscard]] std::vector<Seated> waiters() const {
    std::vector<Seated> all;
    for (const Seat& seat : binding->impl().sections().seats) {
      if (const Seated who = Seated::of(seat.load()); who.taken()) all.push_back(who);
    }
    return all;
  }
  /// Waits until `count` requests have a seat.
  void await_waiters(std::size_t count) const {
    await([&] { return waiters().size() == count; });
  }
  static void await(const std::function<bool()>& condition) {
    for (const auto end = HostClock::now() + 20s; HostClock::now() < end;) {
      if (condition()) return;
      std::this_thread::sleep_for(200us);
    }
    FAIL() << "it does not come";
  }
  [[nodiscard]] bool gate_is_open() const { return binding->impl().sections().gate->is_open(); }

  test::SegmentName name;
  Config config;
  std::unique_ptr<SegmentBinding> binding;
  Operation work{};
};

constexpr const char* kOnePermit = "[operations.work]\nconcurrent = 1\nqueue = 10\ntimeout = '20s'\n";

TEST_F(LimiterWaiting, ARequestThatDoesNotWaitIsShedAtOnce) {
  open(kOnePermit);
  const Admission held = admit();
  const Admission refused = admit();
  EXPECT_EQ(refused.verdict(), Verdict::shed);
  EXPECT_EQ(refused.decision().cause, ShedCause::no_permit);
  EXPECT_TRUE(waiters().empty());
}

TEST_F(LimiterWaiting, AReleaseWakesTheWaiter) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  std::thread waiter([&] {
    const Admission admission = admit({.wait = 20s});
    EXPECT_TRUE(admission);
    EXPECT_GT(admission.decision().waited, 0us);
    EXPECT_LT(admission.decision().waited, 15s);
  });
  await_waiters(1);
  held.reset();
  waiter.join();
  EXPECT_TRUE(waiters().empty());
  EXPECT_FALSE(gate_is_open());
}

TEST_F(LimiterWaiting, ARequestThatCanPassDoesNotWait) {
  open(kOnePermit);
  const Admission admission = admit({.wait = 20s});
  EXPECT_TRUE(admission);
  EXPECT_EQ(admission.decision().waited, 0us);
}

TEST_F(LimiterWaiting, EndsWhenItsTimeIsOver) {
  open(kOnePermit);
  const Admission held = admit();
  const auto begin = HostClock::now();
  const Admission refused = admit({.wait = 30ms});
  EXPECT_GE(HostClock::now() - begin, 30ms);
  EXPECT_EQ(refused.verdict(), Verdict::shed);
  EXPECT_EQ(refused.decision().cause, ShedCause::timed_out);
  EXPECT_GE(refused.decision().waited, 30ms);
  EXPECT_TRUE(waiters().empty());
  EXPECT_FALSE(gate_is_open());
}

TEST_F(LimiterWaiting, IsCutToTheTimeoutOfTheOperation) {
  open("[operations.work]\nconcurrent = 1\nqueue = 10\ntimeout = '20ms'\n");
  const Admission held = admit();
  EXPECT_EQ(admit({.wait = kAsConfigured}).decision().cause, ShedCause::timed_out);
}

TEST_F(LimiterWaiting, WithoutAQueueIsRefused) {
  open("[operations.work]\nconcurrent = 1\n");
  const Admission held = admit();
  EXPECT_EQ(admit({.wait = 20s}).decision().cause, ShedCause::queue_full);
}

TEST_F(LimiterWaiting, InAFullQueueIsRefused) {
  open("[operations.work]\nconcurrent = 1\nqueue = 1\ntimeout = '20s'\n");
  std::optional<Admission> held(admit());
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  EXPECT_EQ(admit({.priority = 5, .wait = 20s}).decision().cause, ShedCause::queue_full);
  held.reset();
  waiter.join();
}

TEST_F(LimiterWaiting, IsPushedOutByAMoreUrgentRequestIfConfigured) {
  open("[operations.work]\nconcurrent = 1\nqueue = 1\ntimeout = '20s'\npush_out = true\n");
  std::optional<Admission> held(admit());
  std::thread loser([&] { EXPECT_EQ(admit({.wait = 20s}).decision().cause, ShedCause::pushed_out); });
  await_waiters(1);
  EXPECT_EQ(admit({.wait = 20s}).decision().cause, ShedCause::queue_full);
  std::thread urgent([&] { EXPECT_TRUE(admit({.priority = 4, .wait = 20s})); });
  loser.join();
  held.reset();
  urgent.join();
}

TEST_F(LimiterWaiting, EndsWhenAStopIsRequested) {
  open(kOnePermit);
  const Admission held = admit();
  std::stop_source source;
  std::thread waiter([&] {
    const std::stop_token token = source.get_token();
    EXPECT_EQ(admit({.wait = 20s, .stop = token}).decision().cause, ShedCause::cancelled);
  });
  await_waiters(1);
  source.request_stop();
  waiter.join();
  const std::stop_token stopped = source.get_token();
  EXPECT_EQ(admit({.wait = 20s, .stop = stopped}).decision().cause, ShedCause::cancelled);
}

/// Threads that wait one after another and tell in which order they were admitted.
class InLine {
 public:
  explicit InLine(std::function<Admission(const Request&)> admit) : admit_(std::move(admit)) {}
  ~InLine() {
    for (std::thread& thread : threads_) thread.join();
  }
  void come(int number, const Request& request) {
    threads_.emplace_back([this, number, request] {
      const Admission admission = admit_(request);
      const std::lock_guard lock(mutex_);
      if (admission) order_.push_back(number);
    });
  }
  std::vector<int> order() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return order_;
  }

 private:
  std::function<Admission(const Request&)> admit_;
  std::mutex mutex_;
  std::vector<int> order_;
  std::vector<std::thread> threads_;
};

TEST_F(LimiterWaiting, GoesByClassAndThenByAge) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  InLine line([&](const Request& request) { return admit(request); });
  const std::vector<std::uint8_t> classes{3, 1, 5, 3, 5, 2, 4};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    line.come(static_cast<int>(i), {.priority = classes[i], .wait = 20s});
    await_waiters(i + 1);
  }
  held.reset();
  EXPECT_EQ(line.order(), (std::vector<int>{2, 4, 6, 0, 3, 5, 1}));
}

TEST_F(LimiterWaiting, APriorityOutOfBoundsCountsAsTheNearest) {
  open(kOnePermit);
  const Admission held = admit();
  WaitingTicket highest(*binding, work, {.priority = 255, .wait = 20s});
  WaitingTicket lowest(*binding, work, {.priority = 0, .wait = 20s});
  EXPECT_FALSE(highest.poll());
  EXPECT_FALSE(lowest.poll());
  ASSERT_EQ(waiters().size(), 2U);
  EXPECT_EQ(waiters()[0].urgency, 5U);
  EXPECT_EQ(waiters()[1].urgency, 1U);
}

extern "C" void on_signal(int /*number*/) {}

TEST_F(LimiterWaiting, GoesOnAfterASignal) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(::pthread_kill(waiter.native_handle(), SIGUSR1), 0);
    std::this_thread::yield();
  }
  EXPECT_EQ(waiters().size(), 1U);
  held.reset();
  waiter.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(LimiterWaiting, AThreadThatWaitsIsNotInAForkedChild) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  test::Child child([&] {
    EXPECT_EQ(admit({.wait = 5ms}).decision().cause, ShedCause::timed_out);
    EXPECT_EQ(waiters().size(), 1U) << "its parent's";
  });
  EXPECT_TRUE(child.ends_within(20s));
  EXPECT_EQ(child.failure(), "");
  held.reset();
  waiter.join();
}

/// Kills this thread's process when it makes any system call but these.
void allow_only(std::initializer_list<int> calls) {
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(seccomp_data, nr)))};
  for (const int call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

TEST_F(LimiterWaiting, CostsNoSystemCallWhereNobodyWaits) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer makes system calls of its own";
#endif
  open(kOnePermit);
  test::Child child([&] {
    ASSERT_TRUE(admit({.wait = 20s}));  // the first call of a process joins, and compiles the plan
    allow_only({SYS_exit_group});
    for (int i = 0; i < 100'000; ++i) {
      if (!admit({.wait = 20s})) ::_exit(1);
    }
    ::_exit(0);
  });
  EXPECT_TRUE(child.ends_within(60s));
  EXPECT_EQ(child.failure(), "");
}

TEST_F(LimiterWaiting, GoesByYouthIfConfigured) {
  open("[operations.work]\nconcurrent = 1\nqueue = 10\ntimeout = '20s'\norder = 'lifo'\n");
  std::optional<Admission> held(admit());
  InLine line([&](const Request& request) { return admit(request); });
  for (int i = 0; i < 4; ++i) {
    line.come(i, {.wait = 20s});
    await_waiters(static_cast<std::size_t>(i) + 1);
  }
  held.reset();
  EXPECT_EQ(line.order(), (std::vector<int>{3, 2, 1, 0}));
}

TEST_F(LimiterWaiting, IsNotOvertakenByARequestThatDoesNotWait) {
  open("[operations.work]\nconcurrent = 2\nqueue = 10\ntimeout = '20s'\n");
  std::optional<Admission> held(admit());
  std::thread heavy([&] { EXPECT_TRUE(admit({.weight = 2, .wait = 20s})); });
  await_waiters(1);
  EXPECT_EQ(admit().decision().cause, ShedCause::no_permit) << "it would take what the waiter needs";
  EXPECT_TRUE(admit({.priority = 5}));
  EXPECT_EQ(admit().decision().cause, ShedCause::no_permit);
  held.reset();
  heavy.join();
  EXPECT_TRUE(admit());
}

TEST_F(LimiterWaiting, IsNotOvertakenInATurnThatIsGuaranteedToWaitersOfALowerClass) {
  open("[operations.work]\nconcurrent = 2\nqueue = 10\ntimeout = '20s'\n");
  std::optional<Admission> held(admit());
  std::thread heavy([&] { EXPECT_TRUE(admit({.weight = 2, .priority = 5, .wait = 20s})); });
  await_waiters(1);
  for (std::uint64_t turn = 0; turn < 16; ++turn) {
    binding->impl().sections().gate->turn.store(turn, std::memory_order_relaxed);
    EXPECT_FALSE(admit({.priority = 1})) << turn;
  }
  held.reset();
  heavy.join();
}

// Each of them is more urgent, and none of them waits.
TEST_F(LimiterWaiting, HasGuaranteedTurnsBesideRequestsThatDoNotWait) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  WaitingTicket waiter(*binding, work, {.priority = 1, .wait = 20s});
  EXPECT_FALSE(waiter.poll());
  int others = 0;
  for (; others < 64; ++others) {
    held.reset();
    held.emplace(admit());
    if (!*held) break;
  }
  EXPECT_LE(others, 32);
  EXPECT_TRUE(waiter.poll());
}

TEST_F(LimiterWaiting, ATicketHasASeatFromTheBeginning) {
  open("[operations.work]\nconcurrent = 1\nqueue = 1\ntimeout = '20s'\n");
  const Admission held = admit();
  WaitingTicket first(*binding, work, {.wait = 20s});
  EXPECT_EQ(waiters().size(), 1U);
  WaitingTicket second(*binding, work, {.wait = 20s});
  const auto answer = second.poll();
  EXPECT_TRUE(answer && answer->decision().cause == ShedCause::queue_full);
}

TEST_F(LimiterWaiting, EndsWhenItsQueueIsTakenOut) {
  open(kOnePermit);
  const Admission held = admit();
  std::thread waiter([&] {
    const Admission refused = admit({.wait = 20s});
    EXPECT_EQ(refused.decision().cause, ShedCause::queue_full);
    EXPECT_NE(refused.limit(), LimitId::none);
  });
  await_waiters(1);
  config.operations["work"].queue.seats = 0;
  ASSERT_TRUE(apply_config(name.str(), config));
  waiter.join();
}

TEST_F(LimiterWaiting, ForItsOwnUserHoldsUpNobodyElse) {
  open("[operations.work]\nconcurrent = 8\nqueue = 10\ntimeout = '20s'\nuser.concurrent = 1\n");
  std::optional<Admission> held(admit({.user = "alice"}));
  std::thread second([&] { EXPECT_TRUE(admit({.user = "alice", .wait = 20s})); });
  await_waiters(1);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(admit({.user = "bob"}));
  EXPECT_EQ(waiters().size(), 1U);
  held.reset();
  second.join();
}

TEST_F(LimiterWaiting, ForAnotherOperationsPermitIsWokenByIt) {
  open(
      "[global]\nconcurrent = 1\n[operations.work]\nqueue = 10\ntimeout = '20s'\n[operations.other]\nqueue = "
      "1\n");
  const Operation other = *binding->impl().operations().find("other");
  std::optional<Admission> held(binding->admit(other, {}, TimePasses{}));
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  const auto begin = HostClock::now();
  held.reset();
  waiter.join();
  EXPECT_LT(HostClock::now() - begin, 15s);
}

TEST_F(LimiterWaiting, InTheGlobalQueueIfTheOperationHasNone) {
  open("[global]\nqueue = 10\ntimeout = '20s'\n[operations.work]\nconcurrent = 1\n");
  std::optional<Admission> held(admit());
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  held.reset();
  waiter.join();
}

TEST_F(LimiterWaiting, ForARateSleepsUntilTheTokenIsThere) {
  open("[operations.work]\nrate = '50/s burst 1'\nqueue = 10\ntimeout = '20s'\n");
  ASSERT_TRUE(admit());
  EXPECT_EQ(admit({.wait = 20s}).verdict(), Verdict::throttled) << "it waits for permits alone";
  const auto begin = HostClock::now();
  const Admission second = admit({.wait_for = WaitFor::permits_and_rates, .wait = 20s});
  EXPECT_TRUE(second);
  EXPECT_LT(HostClock::now() - begin, 15s);
}

TEST_F(LimiterWaiting, ForARateThatComesTooLateIsRefusedAtOnce) {
  open("[operations.work]\nrate = '1/h burst 1'\nqueue = 10\ntimeout = '20s'\n");
  ASSERT_TRUE(admit());
  const auto begin = HostClock::now();
  const Admission late = admit({.wait_for = WaitFor::permits_and_rates, .wait = 20s});
  EXPECT_EQ(late.verdict(), Verdict::throttled);
  EXPECT_GT(late.retry_after(), 30min);
  EXPECT_LT(HostClock::now() - begin, 10s);
}

// A cooldown counts refusals, and a request that looks several times is refused once.
TEST_F(LimiterWaiting, IsOneRefusalHoweverOftenItLooks) {
  const Request waits{.wait_for = WaitFor::permits_and_rates, .wait = 10ms};
  for (const bool by_ticket : {false, true}) {
    open("[operations.work]\nrate = '1/h burst 1'\nqueue = 10\ncooldown = { for = '1h', refusals = 2 }\n");
    binding->impl().reset();
    ASSERT_TRUE(admit());
    if (by_ticket) {
      WaitingTicket ticket(*binding, work, waits);
      const auto answer = ticket.poll();
      EXPECT_TRUE(answer && answer->verdict() == Verdict::throttled);
    } else {
      EXPECT_EQ(admit(waits).verdict(), Verdict::throttled);
    }
    EXPECT_EQ(admit().verdict(), Verdict::throttled) << "the cooldown has begun already";
    EXPECT_EQ(admit().verdict(), Verdict::blocked);
  }
}

TEST_F(LimiterWaiting, ForRatesGoInLine) {
  open("[operations.work]\nrate = '100/s burst 1'\nqueue = 10\ntimeout = '20s'\n");
  ASSERT_TRUE(admit({.cost = 1}));
  binding->impl().charge(work, {.cost = 20}, TimePasses{});
  InLine line([&](const Request& request) { return admit(request); });
  for (int i = 0; i < 4; ++i) {
    line.come(i, {.wait_for = WaitFor::permits_and_rates, .wait = 20s});
    await_waiters(static_cast<std::size_t>(i) + 1);
  }
  EXPECT_EQ(line.order(), (std::vector<int>{0, 1, 2, 3}));
}

TEST_F(LimiterWaiting, IsWokenByAHigherLimit) {
  open(kOnePermit);
  const Admission held = admit();
  std::thread waiter([&] {
    const Admission admission = admit({.wait = 20s});
    EXPECT_TRUE(admission);
  });
  await_waiters(1);
  config.operations["work"].shared.concurrent = 2;
  const auto change = apply_config(name.str(), config);
  ASSERT_TRUE(change) << change.error().message();
  waiter.join();
}

TEST_F(LimiterWaiting, EndsWhenTheBreakerOpens) {
  open(
      "[operations.work]\nconcurrent = 2\nqueue = 10\ntimeout = '20s'\n"
      "breaker = { failures = 1, recovery = '30s' }\n");
  const Admission held = admit();
  Admission fails = admit();
  std::thread waiter([&] { EXPECT_EQ(admit({.wait = 20s}).verdict(), Verdict::circuit_open); });
  await_waiters(1);
  fails.fail();
  waiter.join();
}

TEST_F(LimiterWaiting, IsWokenWhenTheHolderWasKilled) {
  open(kOnePermit);
  test::Child holder([&] {
    auto mine = another();
    const Admission held = mine->admit(work, {}, TimePasses{});
    EXPECT_TRUE(held);
    ::pause();
  });
  await([&] { return binding->impl().peek(work, {}, TimePasses{}).verdict == Verdict::shed; });
  std::thread waiter([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(1);
  holder.kill();
  waiter.join();
}

TEST_F(LimiterWaiting, AStoppedFirstWaiterIsPassedOver) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  test::Child first([&] {
    auto mine = another();
    (void)mine->admit(work, {.wait = 20s}, TimePasses{});
  });
  await_waiters(1);
  first.signal(SIGSTOP);
  std::thread second([&] { EXPECT_TRUE(admit({.wait = 20s})); });
  await_waiters(2);
  held.reset();
  second.join();
  first.kill();
  binding->impl().reap();
  EXPECT_TRUE(waiters().empty());
  EXPECT_FALSE(gate_is_open());
}

TEST_F(LimiterWaiting, ATicketIsAdmittedWhenItIsPolled) {
  open(kOnePermit);
  std::optional<Admission> held(admit());
  WaitingTicket ticket(*binding, work, {.wait = 20s});
  EXPECT_FALSE(ticket.poll());
  EXPECT_EQ(waiters().size(), 1U);
  held.reset();
  const auto admission = ticket.poll();
  ASSERT_TRUE(admission);
  EXPECT_TRUE(*admission);
  EXPECT_FALSE(ticket.waits());
  EXPECT_FALSE(ticket.poll());
}

TEST_F(LimiterWaiting, ATicketThatGoesLeavesItsSeat) {
  open(kOnePermit);
  const Admission held = admit();
  {
    WaitingTicket ticket(*binding, work, {.wait = 20s});
    EXPECT_FALSE(ticket.poll());
    EXPECT_EQ(waiters().size(), 1U);
  }
  EXPECT_TRUE(waiters().empty());
  EXPECT_FALSE(gate_is_open());
}

TEST_F(LimiterWaiting, ACopyOfATicketThatGoesInAChildLeavesTheSeatToTheParent) {
  open(kOnePermit);
  const Admission held = admit();
  std::optional<WaitingTicket> ticket;
  ticket.emplace(*binding, work, Request{.wait = 20s});
  EXPECT_FALSE(ticket->poll());
  test::Child child([&] { ticket.reset(); });
  EXPECT_TRUE(child.ends_within(20s));
  EXPECT_EQ(child.failure(), "");
  EXPECT_EQ(waiters().size(), 1U);
}

TEST_F(LimiterWaiting, ACopyOfATicketInAChildIsShed) {
  open(kOnePermit);
  const Admission held = admit();
  WaitingTicket ticket(*binding, work, {.wait = 20s});
  EXPECT_FALSE(ticket.poll());
  test::Child child([&] {
    const auto answer = ticket.poll();
    EXPECT_TRUE(answer && answer->verdict() == Verdict::shed);
  });
  EXPECT_TRUE(child.ends_within(20s));
  EXPECT_EQ(child.failure(), "");
  EXPECT_EQ(waiters().size(), 1U) << "the child has given up its parent's seat";
  EXPECT_FALSE(ticket.poll());
}

}  // namespace
}  // namespace weir::detail

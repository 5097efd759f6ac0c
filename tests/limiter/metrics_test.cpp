// SPDX-License-Identifier: Apache-2.0

// What is counted of requests, as a reader of the segment sees it.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "support/fork.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

class LimiterMetrics : public ::testing::Test {
 protected:
  void open(const std::string& toml) {
    auto parsed = parse_config(toml, "test");
    ASSERT_TRUE(parsed) << parsed.error().message();
    config = *parsed;
    config.segment.name = name.str();
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    work = *limiter->operation("work");
  }
  [[nodiscard]] Snapshot snapshot() const {
    auto taken = take_snapshot(name.str());
    EXPECT_TRUE(taken) << taken.error().message();
    return taken ? *taken : Snapshot{};
  }
  [[nodiscard]] OperationStatus status(const std::string& operation = "work") const {
    for (const OperationStatus& one : snapshot().operations) {
      if (one.name == operation) return one;
    }
    ADD_FAILURE() << "no operation " << operation;
    return {};
  }
  [[nodiscard]] std::uint64_t refused_by(const std::string& limit) const {
    for (const LimitStatus& one : snapshot().limits) {
      if (one.name == limit) return one.refused;
    }
    ADD_FAILURE() << "no limit " << limit;
    return 0;
  }

  test::SegmentName name;
  Config config;
  std::optional<Limiter> limiter;
  Operation work{};
};

TEST_F(LimiterMetrics, CountsWhatIsRefusedByVerdictAndByLimit) {
  open(
      "[global]\nrate = '1/day burst 5'\n[operations.work]\nrate = '1/day burst 2'\nconcurrent = 1\n"
      "[operations.other]\nrate = '1/day burst 2'\n");
  std::optional<Admission> held = limiter->admit(work);
  ASSERT_TRUE(*held);
  EXPECT_EQ(limiter->admit(work).verdict(), Verdict::shed);
  held.reset();
  ASSERT_TRUE(limiter->admit(work));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter->admit(work).verdict(), Verdict::throttled);
  EXPECT_EQ(limiter->admit(work, {.cost = 3}).verdict(), Verdict::never);
  const OperationStatus seen = status();
  EXPECT_TRUE(seen.counted);
  EXPECT_EQ(seen.admitted, 2U);
  EXPECT_EQ(seen.shed, 1U);
  EXPECT_EQ(seen.throttled, 3U);
  EXPECT_EQ(seen.never, 1U);
  EXPECT_EQ(seen.requests(), 7U);
  EXPECT_EQ(seen.minute_admitted, 2U);
  EXPECT_EQ(seen.minute_refused, 5U);
  EXPECT_TRUE(seen.last_request);
  EXPECT_EQ(refused_by("operations.work.rate"), 4U);
  EXPECT_EQ(refused_by("operations.work.concurrent"), 1U);
  EXPECT_EQ(refused_by("global.rate"), 0U);
  EXPECT_EQ(status("other").requests(), 0U);
  EXPECT_FALSE(status("other").last_request);
}

TEST_F(LimiterMetrics, CountsOutcomesAndHowLongCallsTook) {
  open("[operations.work]\nrate = '1000/s burst 1000'\n");
  limiter->admit(work).succeed();
  limiter->admit(work).fail();
  limiter->admit(work).fail();
  { const Admission not_reported = limiter->admit(work); }
  const HostClock::time_point began = HostClock::now();
  Admission slow = limiter->admit(work);
  EXPECT_EQ(status().in_flight, 1U);
  std::this_thread::sleep_for(5ms);
  slow.succeed();
  slow.fail();  // a second report is ignored
  const std::chrono::nanoseconds took = HostClock::now() - began;
  const OperationStatus seen = status();
  EXPECT_EQ(seen.admitted, 5U);
  EXPECT_EQ(seen.succeeded, 2U);
  EXPECT_EQ(seen.failed, 2U);
  EXPECT_EQ(seen.ignored, 1U);
  EXPECT_EQ(seen.in_flight, 0U);
  EXPECT_EQ(seen.lost, 0U);
  EXPECT_EQ(seen.timed, 5U);
  EXPECT_GE(seen.peak, 5ms);
  EXPECT_GE(seen.p999, 4'850us);
  EXPECT_LE(seen.p999, took + took / 33);
  EXPECT_GE(seen.time, 5ms);
  EXPECT_EQ(seen.within.back(), 5U);
  EXPECT_LE(seen.within[5], 4U) << "4.2 ms";
  ASSERT_TRUE(seen.error_rate());
  EXPECT_DOUBLE_EQ(*seen.error_rate(), 0.5);
}

// A caller that decides at moments of its own has no time that could be compared with the clock.
TEST_F(LimiterMetrics, ACallAtAMomentOfTheCallersIsNotTimed) {
  open("[operations.work]\nrate = '1000/s burst 1000'\n");
  limiter->admit_at(HostClock::now() + 1h, work).succeed();
  EXPECT_EQ(status().succeeded, 1U);
  EXPECT_EQ(status().timed, 0U);
}

TEST_F(LimiterMetrics, WithoutTimesOnlyCountersAreKept) {
  open("[segment]\nmetrics = 'counts'\n[operations.work]\nrate = '1000/s burst 1000'\n");
  limiter->admit(work).succeed();
  EXPECT_EQ(status().succeeded, 1U);
  EXPECT_EQ(status().timed, 0U);
}

TEST_F(LimiterMetrics, SwitchedOffNothingIsCountedAndNothingIsTaken) {
  open("[segment]\nmetrics = 'off'\n[operations.work]\nrate = '1000/s burst 1000'\nconcurrent = 1\n");
  limiter->admit(work).succeed();
  EXPECT_TRUE(limiter->admit(work)) << "the permit came back";
  const OperationStatus seen = status();
  EXPECT_FALSE(seen.counted);
  EXPECT_EQ(seen.requests(), 0U);
}

TEST_F(LimiterMetrics, ARequestIsCountedOnceHoweverOftenItLookedWhileItWaited) {
  open("[operations.work]\nconcurrent = 1\nqueue = 1\ntimeout = '10s'\n");
  std::optional<Admission> held = limiter->admit(work);
  ASSERT_TRUE(*held);
  std::thread waiter([&] { EXPECT_TRUE(limiter->admit(work, {.wait = 10s})); });
  while (snapshot().waiters.empty()) std::this_thread::yield();
  EXPECT_EQ(status().requests(), 1U);
  held.reset();
  waiter.join();
  EXPECT_EQ(status().admitted, 2U);
  EXPECT_EQ(status().shed, 0U);
  EXPECT_EQ(status().waited, 1U);
  EXPECT_GT(status().wait_time, 0ns);
  held = limiter->admit(work);
  EXPECT_EQ(limiter->admit(work, {.wait = 1ms}).verdict(), Verdict::shed);
  EXPECT_EQ(status().shed, 1U);
  EXPECT_EQ(status().gave_up, 1U);
}

TEST_F(LimiterMetrics, ThreadsCountInLanesOfTheirOwnAndLeaveThemToLaterOnes) {
  open("[segment]\nworkers = 8\n[operations.work]\nrate = '1000000/s burst 1000000'\n");
  constexpr int kRounds = 4;
  constexpr std::uint64_t kThreads = 6;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1'000; ++i) limiter->admit(work).succeed();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const OperationStatus seen = status();
  EXPECT_EQ(seen.admitted, kRounds * kThreads * 1'000);
  EXPECT_EQ(seen.succeeded, seen.admitted);
  EXPECT_EQ(seen.in_flight, 0U);
  EXPECT_EQ(snapshot().unrecorded, 0U);
}

TEST_F(LimiterMetrics, ThreadsWithoutALaneCountTogether) {
  open("[segment]\nworkers = 1\n[operations.work]\nrate = '1000000/s burst 1000000'\n");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) limiter->admit(work).succeed();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(status().admitted, 8'000U);
  EXPECT_EQ(status().succeeded, 8'000U);
}

TEST_F(LimiterMetrics, ACallMayEndOnAnotherThread) {
  open("[operations.work]\nrate = '1000/s burst 1000'\n");
  Admission admission = limiter->admit(work);
  std::thread([&] { admission.succeed(); }).join();
  EXPECT_EQ(status().succeeded, 1U);
  EXPECT_EQ(status().in_flight, 0U);
  EXPECT_EQ(status().lost, 0U);
}

TEST_F(LimiterMetrics, ACopyInAChildDoesNotEndTheCallOfItsParent) {
  open("[operations.work]\nrate = '1000/s burst 1000'\n");
  Admission admission = limiter->admit(work);
  EXPECT_EQ(test::in_child([&] {
              admission.succeed();
              limiter->admit(work).fail();
              return 0;
            }),
            0);
  EXPECT_EQ(status().in_flight, 1U);
  EXPECT_EQ(status().succeeded, 0U);
  EXPECT_EQ(status().failed, 1U);
  admission.succeed();
  EXPECT_EQ(status().succeeded, 1U);
  EXPECT_EQ(status().in_flight, 0U);
}

TEST_F(LimiterMetrics, CallsOfAKilledWorkerAreLostAndNoSumFalls) {
  open("[segment]\nworkers = 2\n[operations.work]\nrate = '1000000/s burst 1000000'\n");
  limiter->admit(work).succeed();
  constexpr std::uint64_t kWorkers = 20;
  for (std::uint64_t i = 1; i <= kWorkers; ++i) {
    const int status_of = test::in_child([&] {
      limiter->admit(work).succeed();
      const Admission left = limiter->admit(work);
      ::raise(SIGKILL);
      return 0;
    });
    EXPECT_NE(status_of, 0);
    const OperationStatus seen = status();
    EXPECT_EQ(seen.admitted, 1 + 2 * i);
    EXPECT_EQ(seen.succeeded, 1 + i);
    EXPECT_EQ(seen.lost, i);
    EXPECT_EQ(seen.in_flight, 0U);
  }
}

// A block may be given to another name, which does not begin with what the first one counted.
TEST_F(LimiterMetrics, AnOperationInABlockThatWasAnothersBeginsAtZero) {
  std::string all;
  for (std::uint32_t i = 0; i < kMaxOperations - 1; ++i)
    all += "[operations.x" + std::to_string(i) + "]\nrate = '1/s'\n";
  open("[operations.work]\nrate = '1000000/s burst 1000'\n" + all);
  for (int i = 0; i < 5; ++i) limiter->admit(work).succeed();
  Config next = config;
  next.operations["late"] = next.operations["work"];
  next.operations.erase("work");
  Config without = next;
  without.operations.erase("late");
  for (const Config& step : {without, next}) {
    const auto applied = apply_config(name.str(), step);
    ASSERT_TRUE(applied) << applied.error().message();
  }
  const auto late = limiter->operation("late");
  ASSERT_TRUE(late) << late.error().message();
  EXPECT_EQ(status("late").requests(), 0U);
  EXPECT_FALSE(limiter->admit(work)) << "its handle means nothing now";
  EXPECT_EQ(status("late").requests(), 0U);
  EXPECT_TRUE(limiter->admit(*late));
  EXPECT_EQ(status("late").admitted, 1U);
}

#if defined(__x86_64__)
volatile std::sig_atomic_t asked_for_memory = 0;

/// From now on the kernel has no memory for those that ask by madvise(), and these are counted.
void have_no_memory() {
  struct sigaction refuse {};
  refuse.sa_flags = SA_SIGINFO;
  refuse.sa_sigaction = [](int /*signal*/, siginfo_t* /*info*/, void* context) {
    asked_for_memory = asked_for_memory + 1;
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -ENOMEM;
  };
  ::sigaction(SIGSYS, &refuse, nullptr);
  std::array<sock_filter, 4> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(77);
}

TEST_F(LimiterMetrics, WithoutMemoryRequestsAreDecidedAndTheKernelIsNotAskedAtEachOfThem) {
  open("[operations.work]\nrate = '1000000/s burst 1000000'\n");
  const int ended = test::in_child([&] {
    have_no_memory();
    for (int i = 0; i < 1'000; ++i) {
      Admission admission = limiter->admit(work);
      if (!admission) return 1;
      admission.succeed();
    }
    return asked_for_memory >= 1 && asked_for_memory <= 4 ? 0 : 2;
  });
  if (ended == 77) GTEST_SKIP() << "this host does not allow a seccomp filter";
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(status().requests(), 0U);
  EXPECT_GE(snapshot().unrecorded, 2'000U);
}
#endif

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0

// Processes wait for permits while some of them are killed or stopped, asleep, rung, or with a permit in hand. A waiter
// that nobody disturbs is never left beside a free permit for longer than others need to notice, and all seats come back.
//
// The run is short by default; WEIR_SOAK_KILLS in the environment makes it longer.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <vector>

#include "weir/config.hpp"

#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "policy/blocks.hpp"
#include "policy/queues.hpp"
#include "support/chaos.hpp"
#include "support/child.hpp"
#include "support/segment_name.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using detail::Seated;
using detail::SegmentBinding;
using detail::TimePasses;

constexpr auto kRelaxed = std::memory_order_relaxed;

/// One operation whose requests wait.
class Waiters {
 public:
  explicit Waiters(const std::string& limits) {
    auto config = parse_config("[operations.work]\n" + limits, "test");
    if (!config) throw std::runtime_error(config.error().message());
    config->segment.name = name_.str();
    auto binding = SegmentBinding::over(detail::attach_or_publish(*config));
    if (!binding) throw std::runtime_error(binding.error().message());
    binding_ = std::move(*binding);
    work_ = *binding_->impl().operations().find("work");
  }

  Admission admit(const Request& request) { return binding_->admit(work_, request, TimePasses{}); }
  void reap() { binding_->impl().reap(); }

  [[nodiscard]] std::size_t waiting() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        sections().seats, [](const detail::Seat& seat) { return Seated::of(seat.load()).taken(); }));
  }
  [[nodiscard]] std::uint32_t permits_in_use() const {
    return detail::Permits(sections().permit_cells).in_use();
  }
  [[nodiscard]] bool gate_is_open() const { return sections().gate->is_open(); }

  void await_waiting(std::size_t count) const {
    for (const auto end = HostClock::now() + 20s; waiting() != count;) {
      ASSERT_LT(HostClock::now(), end);
      std::this_thread::sleep_for(100us);
    }
  }

 private:
  [[nodiscard]] const detail::Sections& sections() const { return binding_->impl().sections(); }

  SegmentName name_;
  std::unique_ptr<SegmentBinding> binding_;
  Operation work_{};
};

int kills_of_a_soak() {
  const char* const text = std::getenv("WEIR_SOAK_KILLS");
  return text != nullptr ? std::atoi(text) : 300;
}

TEST(WaitingSoak, NoPermitIsFreeForLongBesideAWaiter) {
  constexpr std::uint32_t kPermits = 2;
  Waiters waiters("concurrent = 2\nqueue = 32\ntimeout = '60s'\n");
  std::atomic<bool> over{false};
  std::atomic<bool> waits{false};
  std::atomic<std::uint64_t> admitted{0};

  std::thread undisturbed([&] {
    while (!over) {
      waits = true;
      const Admission admission = waiters.admit({.priority = 5, .wait = 60s});
      waits = false;
      EXPECT_TRUE(admission) << to_string(admission.decision().cause);
      admitted.fetch_add(1, kRelaxed);
      std::this_thread::sleep_for(100us);
    }
  });
  std::chrono::nanoseconds longest{0};
  std::thread watcher([&] {
    std::optional<HostClock::time_point> since;
    std::uint64_t seen = 0;
    while (!over) {
      const auto now = HostClock::now();
      const std::uint64_t so_far = admitted.load(kRelaxed);
      const bool idle = waits && waiters.permits_in_use() < kPermits && so_far == seen;
      seen = so_far;
      if (!idle) since.reset();
      if (idle && !since) since = now;
      if (since) longest = std::max(longest, std::chrono::nanoseconds(now - *since));
      std::this_thread::sleep_for(100us);
    }
  });

  const int kills = kills_of_a_soak();
  const ChaosReport report =
      run_chaos({.workers = 12, .kills = kills, .seed = 5}, [&](int number, const std::atomic<bool>& stop) {
        std::mt19937 random(static_cast<unsigned>(::getpid()));
        while (!stop) {
          const auto urgency = static_cast<std::uint8_t>(1 + random() % 5);
          const std::uint32_t weight = number == 0 ? 2 : 1;
          const auto wait = std::chrono::microseconds(random() % 20'000);
          const Admission admission = waiters.admit({.weight = weight, .priority = urgency, .wait = wait});
          if (admission) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
        }
      });
  over = true;
  undisturbed.join();
  watcher.join();
  EXPECT_TRUE(report.ok()) << report;
  waiters.reap();
  EXPECT_EQ(waiters.waiting(), 0U);
  EXPECT_EQ(waiters.permits_in_use(), 0U);
  EXPECT_FALSE(waiters.gate_is_open());
  EXPECT_GT(admitted.load(), 0U);
  std::cout << report.kills << " kills, " << report.stops << " stops, " << admitted.load()
            << " admissions of the undisturbed waiter; a permit was free beside it for at most "
            << std::chrono::duration_cast<std::chrono::milliseconds>(longest).count() << " ms\n";
  // Without the slice it would be for as long as the wait is, a minute.
  EXPECT_LT(longest, 5s);
}

/// The first of two sleepers does not answer. @return how long the second waits for a permit that comes back, in ms: the
/// median of five trials.
/// @param release  gives the permit back, and does something to the first sleeper before or after.
template <class Release>
double wait_of_the_second(Release&& release) {
  Waiters waiters("concurrent = 1\nqueue = 8\ntimeout = '60s'\n");
  std::vector<double> ms;
  for (int trial = 0; trial < 5; ++trial) {
    std::optional<Admission> held(waiters.admit({.wait = 10s}));
    EXPECT_TRUE(*held);
    Child first([&] { (void)waiters.admit({.wait = 60s}); });
    waiters.await_waiting(1);
    std::thread second([&] { EXPECT_TRUE(waiters.admit({.wait = 60s})); });
    waiters.await_waiting(2);
    const HostClock::time_point begin = release(first, held);
    second.join();
    ms.push_back(std::chrono::duration<double, std::milli>(HostClock::now() - begin).count());
    first.kill();
    waiters.reap();
  }
  std::ranges::sort(ms);
  std::cout << "the next one went on after " << ms.front() << " to " << ms.back() << " ms, median " << ms[2]
            << '\n';
  return ms[2];
}

TEST(Waiting, ASleeperThatIsKilledAfterItWasRungCostsTheNextOneASliceAtMost) {
  const double ms = wait_of_the_second([](Child& first, std::optional<Admission>& held) {
    // On one processor, the first cannot run between the ring and its death.
    cpu_set_t all;
    cpu_set_t one;
    CPU_ZERO(&one);
    ::sched_getaffinity(0, sizeof all, &all);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all)) ++cpu;
    CPU_SET(cpu, &one);
    ::sched_setaffinity(first.pid(), sizeof one, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    const auto begin = HostClock::now();
    held.reset();
    first.kill();
    ::sched_setaffinity(0, sizeof all, &all);
    return begin;
  });
  EXPECT_LT(ms, 5000);
}

TEST(Waiting, AStoppedFirstSleeperCostsTheNextOneAGrace) {
  const double ms = wait_of_the_second([](Child& first, std::optional<Admission>& held) {
    first.signal(SIGSTOP);
    siginfo_t stopped{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(first.pid()), &stopped, WSTOPPED), 0);
    const auto begin = HostClock::now();
    held.reset();
    return begin;
  });
  EXPECT_LT(ms, 5000);
}

TEST(WaitingOrderStatistics, TheLowestClassIsServedUnderAnEndlessHighestOne) {
  Waiters waiters("concurrent = 1\nqueue = 16\ntimeout = '60s'\n");
  constexpr int kUrgent = 6;
  std::array<std::atomic<int>, 6> served{};
  std::atomic<bool> over{false};
  const auto loop = [&](std::uint8_t urgency) {
    while (!over) {
      const Admission admission = waiters.admit({.priority = urgency, .wait = 60s});
      EXPECT_TRUE(admission);
      served[urgency].fetch_add(1);
      std::this_thread::sleep_for(50us);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kUrgent; ++i) threads.emplace_back(loop, std::uint8_t{5});
  threads.emplace_back(loop, std::uint8_t{1});
  for (const auto end = HostClock::now() + 60s; served[1] < 20 && HostClock::now() < end;)
    std::this_thread::sleep_for(1ms);
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(served[1], 20);
  EXPECT_GT(served[5], served[1]) << "one turn of sixteen is its own";
  std::cout << served[5] << " of class 5, " << served[1] << " of class 1\n";
}

}  // namespace
}  // namespace weir::test

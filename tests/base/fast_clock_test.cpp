// SPDX-License-Identifier: Apache-2.0
#include "base/fast_clock.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/tsc_anchor.hpp"
#include "support/fork.hpp"
#include "support/shared_object.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kMaxLag{TscAnchor::kMaxLagNs};

/// What is wrong with the readings of one thread.
struct Faults {
  int ahead = 0;
  int late = 0;
  int back = 0;

  friend bool operator==(const Faults&, const Faults&) = default;
};
void PrintTo(const Faults& faults, std::ostream* out) {
  *out << faults.ahead << " ahead, " << faults.late << " late, " << faults.back << " back";
}

/// Reads the time between two looks at HostClock, in bursts with sleeps between them.
Faults faults_within(std::chrono::milliseconds span) {
  Faults faults;
  const auto end = HostClock::now() + span;
  auto last = HostClock::time_point::min();
  for (int i = 0; HostClock::now() < end; ++i) {
    for (int burst = 0; burst < 5'000; ++burst) {
      const auto before = HostClock::now();
      const auto now = FastClock::now();
      const auto after = HostClock::now();
      faults.ahead += now > after ? 1 : 0;
      faults.late += now < before - kMaxLag ? 1 : 0;
      faults.back += now < last ? 1 : 0;
      last = now;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50 * (i % 8)));
  }
  return faults;
}

TEST(FastClock, TellsTheHostsTimeALittleLateAndNeverAhead) {
  EXPECT_EQ(faults_within(1s), Faults{});
}

TEST(FastClock, TellsTheHostsTimeInEveryThread) {
  std::vector<Faults> faults(4);
  std::vector<std::thread> threads;
  for (Faults& mine : faults) threads.emplace_back([&mine] { mine = faults_within(300ms); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, std::vector<Faults>(4));
}

TEST(FastClock, TellsTheHostsTimeAcrossAFork) {
  EXPECT_EQ(faults_within(50ms), Faults{});
  EXPECT_EQ(test::in_child([] { return faults_within(300ms) == Faults{} ? 0 : 1; }), 0);
  EXPECT_EQ(faults_within(50ms), Faults{});
}

// A process that has seen another's time then reads a time that is not older, except by the bound.
int tell_each_other(std::atomic<std::int64_t>& latest, std::chrono::milliseconds span) {
  int faults = 0;
  for (const auto end = HostClock::now() + span; HostClock::now() < end;) {
    for (int burst = 0; burst < 1'000; ++burst) {
      std::int64_t seen = latest.load();
      (void)HostClock::now();  // waits for the load
      const std::int64_t now = FastClock::now().time_since_epoch().count();
      faults += now < seen - TscAnchor::kMaxLagNs ? 1 : 0;
      while (seen < now && !latest.compare_exchange_weak(seen, now)) {
      }
    }
  }
  return faults;
}

TEST(FastClock, ProcessesAgree) {
  const test::SharedObject<std::atomic<std::int64_t>> latest;
  int here = 0;
  std::thread thread([&] { here = tell_each_other(*latest, 400ms); });
  EXPECT_EQ(test::in_child([&] { return tell_each_other(*latest, 300ms) == 0 ? 0 : 1; }), 0);
  thread.join();
  EXPECT_EQ(here, 0);
}

}  // namespace
}  // namespace weir::detail

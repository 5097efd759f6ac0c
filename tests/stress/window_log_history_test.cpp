// SPDX-License-Identifier: Apache-2.0

// Processes hammer one window log with the real clock: the times under which they were admitted, put
// together, hold no more than the limit in any window.
//
// Each process records what it was told. A third of the admissions are refunded, and those are left out.
// Sometimes a process is slow between its clock reading and its admission, so that late readings are common.

#include <algorithm>
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "weir/clock.hpp"

#include "base/ticks.hpp"
#include "primitives/window_log.hpp"
#include "support/child.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::WindowLog;
using detail::WindowParams;
using detail::Word;

constexpr std::size_t kProcesses = 4;
constexpr std::size_t kCells = 24;
constexpr std::size_t kHistory = 1 << 16;

struct Memory {
  std::array<Word, kCells> times;
  Word hint;
  std::array<std::atomic<std::uint64_t>, kProcesses> recorded;
  std::array<std::array<std::uint64_t, kHistory>, kProcesses> history;

  [[nodiscard]] WindowLog log() { return {times, hint}; }
};

std::uint64_t now() {
  return detail::ticks_from_ns(static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count()));
}

void record(Memory& memory, std::size_t process, std::uint64_t time) {
  const std::uint64_t i = memory.recorded[process].load(std::memory_order_relaxed);
  if (i == kHistory) return;
  memory.history[process][i] = time;
  memory.recorded[process].store(i + 1, std::memory_order_relaxed);
}

void hammer(Memory& memory, std::size_t process, WindowParams params, bool refunds) {
  std::mt19937 random(std::random_device{}());
  const std::uint64_t end = now() + detail::ticks_from_ns(300'000'000);
  while (now() < end && memory.recorded[process] < kHistory) {
    const std::uint64_t read_at = now();
    if (random() % 8 == 0) {
      for (auto spins = random() % 2'000; spins > 0; --spins)
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    std::uint64_t counted_at = 0;
    if (memory.log().admit(params, read_at, 1, &counted_at) != 0) continue;
    if (refunds && random() % 3 == 0) {
      memory.log().refund(params, now(), 1,
                          read_at);  // perhaps too late: then it stays counted, which is safe
    } else {
      record(memory, process, counted_at);
    }
  }
}

std::vector<std::uint64_t> all_times(const Memory& memory) {
  std::vector<std::uint64_t> times;
  for (std::size_t p = 0; p < kProcesses; ++p) {
    const auto& history = memory.history[p];
    times.insert(times.end(), history.begin(),
                 history.begin() + static_cast<std::ptrdiff_t>(memory.recorded[p]));
  }
  std::sort(times.begin(), times.end());
  return times;
}

// The index at which a window of `length` holds more than `limit`; -1: there is none.
std::ptrdiff_t overfull(const std::vector<std::uint64_t>& times, WindowParams params) {
  for (std::size_t i = params.limit; i < times.size(); ++i) {
    if (times[i] - times[i - params.limit] < params.length) return static_cast<std::ptrdiff_t>(i);
  }
  return -1;
}

TEST(WindowLogHistory, TheCheckerFindsOneAdmissionTooMany) {
  const WindowParams params{.length = 100, .limit = 2};
  EXPECT_EQ(overfull({0, 50, 100, 150}, params), -1);
  EXPECT_EQ(overfull({0, 50, 99, 150}, params), 2);
}

void expect_no_window_overfull(WindowParams params, bool refunds) {
  const auto memory = std::make_unique<SharedObject<Memory>>();
  {
    std::vector<std::unique_ptr<Child>> children;
    for (std::size_t p = 0; p < kProcesses; ++p) {
      children.push_back(std::make_unique<Child>([&, p] { hammer(**memory, p, params, refunds); }));
    }
    for (const auto& child : children) {
      ASSERT_TRUE(child->ends_within(std::chrono::seconds(60)));
      EXPECT_EQ(child->failure(), "");
    }
  }
  const std::vector<std::uint64_t> times = all_times(**memory);
  EXPECT_GT(times.size(), params.limit);
  const std::ptrdiff_t where = overfull(times, params);
  EXPECT_EQ(where, -1) << "at " << times[static_cast<std::size_t>(std::max<std::ptrdiff_t>(where, 0))];
  ::testing::Test::RecordProperty("admissions", std::to_string(times.size()));
}

// The windows range from those that nearly always refuse to those that nearly never do.
TEST(WindowLogHistory, NoWindowHoldsMoreThanTheLimit) {
  for (const std::uint64_t length_ns : {2'000U, 100'000U, 5'000'000U}) {
    SCOPED_TRACE(std::to_string(length_ns) + " ns");
    expect_no_window_overfull({.length = detail::ticks_from_ns(length_ns), .limit = kCells}, false);
  }
}

TEST(WindowLogHistory, NoWindowHoldsMoreThanALimitBelowTheNumberOfCells) {
  for (const std::uint64_t length_ns : {2'000U, 20'000U, 200'000U}) {
    SCOPED_TRACE(std::to_string(length_ns) + " ns");
    expect_no_window_overfull({.length = detail::ticks_from_ns(length_ns), .limit = 12}, false);
  }
}

TEST(WindowLogHistory, NoWindowHoldsMoreThanTheLimitBesideRefunds) {
  for (const std::uint64_t length_ns : {2'000U, 100'000U}) {
    SCOPED_TRACE(std::to_string(length_ns) + " ns");
    expect_no_window_overfull({.length = detail::ticks_from_ns(length_ns), .limit = kCells}, true);
    expect_no_window_overfull({.length = detail::ticks_from_ns(length_ns), .limit = 12}, true);
  }
}

}  // namespace
}  // namespace weir::test

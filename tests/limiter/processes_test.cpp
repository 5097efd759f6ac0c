// SPDX-License-Identifier: Apache-2.0

// Several processes on one segment admit as much together as one process may.

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/child.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

// What the processes of a test tell each other: anonymous shared memory.
struct Board {
  std::atomic<int> arrived{0};
  std::atomic<int> window{0};
  std::array<std::atomic<std::uint64_t>, 4096> admitted{};
};

class Processes : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    board = new (memory) Board;
  }
  void TearDown() override { ::munmap(board, sizeof(Board)); }

  // Every process asks until refused, in each of `windows` moments that all of them enter together.
  template <class AdmitAt>
  void hammer(int windows, AdmitAt&& admit_at) {
    const int processes = GetParam();
    std::vector<std::unique_ptr<test::Child>> children;
    for (int p = 0; p < processes; ++p) {
      children.push_back(std::make_unique<test::Child>([&] {
        for (int window = 0; window < windows; ++window) {
          board->arrived.fetch_add(1);
          while (board->arrived.load() < processes * (window + 1)) ::sched_yield();
          while (admit_at(window)) board->admitted[static_cast<std::size_t>(window)].fetch_add(1);
        }
      }));
    }
    for (const auto& child : children) {
      EXPECT_TRUE(child->ends_within(5min));
      EXPECT_EQ(child->failure(), "");
    }
  }

  Board* board = nullptr;
};

constexpr int kWindows = 1000;

TEST_P(Processes, TogetherAdmitExactlyWhatOneMay) {
  auto limiter = Limiter::open_private(*parse_config("[operations.x]\nrate = \"50/s burst 50\"\n", "test"));
  ASSERT_TRUE(limiter);
  const Operation x = *limiter->operation("x");
  const auto start = HostClock::now();
  hammer(kWindows, [&](int window) { return static_cast<bool>(limiter->admit_at(start + window * 1s, x)); });
  for (std::size_t window = 0; window < kWindows; ++window) EXPECT_EQ(board->admitted[window], 50U) << window;
}

TEST_P(Processes, TogetherAdmitExactlyWhatOneUserMay) {
  auto limiter =
      Limiter::open_private(*parse_config("[operations.x.user]\nrate = \"20/s burst 20\"\n", "test"));
  ASSERT_TRUE(limiter);
  const Operation x = *limiter->operation("x");
  const auto now = HostClock::now();
  // A new user in every window: all processes insert the same entry at the same moment.
  hammer(kWindows, [&](int window) {
    return static_cast<bool>(limiter->admit_at(now, x, {.user = "user " + std::to_string(window)}));
  });
  for (std::size_t window = 0; window < kWindows; ++window) EXPECT_EQ(board->admitted[window], 20U) << window;
}

// There are two limits of equal size. A request that loses a race on the second gives back what it spent under the
// first, so that nothing is lost either.
TEST_P(Processes, ChargeAllLimitsOrNone) {
  auto limiter = Limiter::open_private(*parse_config(
      "[global]\nrate = \"1/s burst 30\"\n[operations.x]\nrate = \"1/s burst 20\"\n[operations.y]\n",
      "test"));
  ASSERT_TRUE(limiter);
  const Operation x = *limiter->operation("x");
  const Operation y = *limiter->operation("y");
  const auto start = HostClock::now();
  hammer(100, [&](int window) { return static_cast<bool>(limiter->admit_at(start + window * 30s, x)); });
  for (std::size_t window = 0; window < 100; ++window) EXPECT_EQ(board->admitted[window], 20U) << window;
  int left = 0;
  while (limiter->admit_at(start + 99 * 30s, y)) ++left;
  EXPECT_EQ(left, 10) << "global tokens that refused requests had taken came back";
}

INSTANTIATE_TEST_SUITE_P(Limiter, Processes, ::testing::Values(2, 8),
                         [](const auto& processes) { return std::to_string(processes.param); });

}  // namespace
}  // namespace weir

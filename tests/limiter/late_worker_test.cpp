// SPDX-License-Identifier: Apache-2.0

// A worker is stopped between looking its limits up and using them. Meanwhile the limits are changed live, and other
// workers spend under the new ones. It does not hand out what was spent. A clock that the test turns stops the worker,
// and the segment is old enough for windows of different lengths to have numbers that lie far apart.

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>

#include "weir/config.hpp"
#include "weir/control.hpp"

#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/time_of.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

class LateWorker : public ::testing::Test {
 protected:
  void open(const std::string& limits) {
    const auto config =
        parse_config("[segment]\nusers = 20\nlimits_per_user = 4\n[operations.work]\n" + limits, "test");
    ASSERT_TRUE(config) << config.error().message();
    const auto then = HostClock::now().time_since_epoch() - 20 * 24h;
    const SegmentBeginning beginning{
        std::chrono::duration_cast<std::chrono::nanoseconds>(then).count(), 0, {1, 2}};
    (void)remove_segment(name.str());
    binding = nullptr;
    auto opened = SegmentBinding::over(publish_segment(*config, name.str(), beginning));
    ASSERT_TRUE(opened) << opened.error().what;
    binding = std::move(*opened);
    work = *binding->impl().operations().find("work");
  }
  void set(const std::string& key, const std::string& value) {
    const auto report = set_limit(name.str(), "operations.work." + key, value);
    EXPECT_TRUE(report) << report.error().message();
  }
  int admitted(int asked, const Request& request = {.user = "u"}) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += binding->admit(work, request, TimePasses{}) ? 1 : 0;
    return count;
  }
  /// A clock that calls a function at its n-th reading (from 0), before it tells the time.
  auto stopped_at(int reading, std::function<void()> meanwhile) {
    return [at = reading, meanwhile = std::move(meanwhile), readings = 0]() mutable {
      if (readings++ == at) meanwhile();
      return HostClock::now();
    };
  }

  test::SegmentName name;
  std::unique_ptr<SegmentBinding> binding;
  Operation work{};
};

const std::vector<std::string> kWindowsOfAUser{
    R"({ limit = "9 per 1s" })", R"({ limit = "9 per 2h" })", R"({ limit = "9 per 10day" })",
    R"({ limit = "9 per 1s", kind = "fixed" })", R"({ limit = "9 per 10day", kind = "fixed" })"};

TEST_F(LateWorker, FindsTheCountsOfAWindowOfAUserThatHasAnotherLength) {
  for (const std::string& from : kWindowsOfAUser) {
    for (const std::string& to : {kWindowsOfAUser[2], kWindowsOfAUser[4]}) {
      if (from == to) continue;
      open("user.window = " + from + "\n");
      auto clock = stopped_at(0, [&] {
        set("user.window", to);
        EXPECT_EQ(admitted(20), 9);
      });
      const Admission late = binding->admit(work, {.user = "u"}, test::TimeOf(clock));
      EXPECT_EQ(late.verdict(), Verdict::throttled) << from << " to " << to;
      EXPECT_LE(late.retry_after(), 20 * 24h);
      EXPECT_EQ(admitted(20), 0) << from << " to " << to;
    }
  }
}

TEST_F(LateWorker, ChargesAWindowOfAUserInTheUnitsInForce) {
  for (const std::string& from : kWindowsOfAUser) {
    for (const std::string& to : {kWindowsOfAUser[2], kWindowsOfAUser[4]}) {
      if (from == to) continue;
      open("user.window = " + from + "\n");
      auto clock = stopped_at(0, [&] {
        set("user.window", to);
        EXPECT_EQ(admitted(7), 7);
      });
      binding->impl().charge(work, {.user = "u"}, test::TimeOf(clock));
      EXPECT_LE(admitted(20), 1) << from << " to " << to;
    }
  }
}

TEST_F(LateWorker, ChargesTheWindowThatHasTakenOver) {
  open("window = \"10 per 1h\"\n");
  auto clock = stopped_at(0, [&] { set("window", R"({ limit = "10 per 2h", kind = "ring" })"); });
  binding->impl().charge(work, {.cost = 10}, test::TimeOf(clock));
  EXPECT_EQ(admitted(10), 0);
}

TEST_F(LateWorker, ChargesTheRateThatIsInForce) {
  open("rate = \"1000/s burst 10\"\n");
  auto clock = stopped_at(0, [&] { set("rate", "10/day burst 10"); });
  binding->impl().charge(work, {.cost = 10}, test::TimeOf(clock));
  EXPECT_EQ(admitted(10), 0);
}

// The request is shed, sweeps what a dead worker held, and is decided once more.
TEST_F(LateWorker, DecidesByTheLimitsInForceAlsoAfterASweep) {
  open("concurrent = 1\nwindow = \"10 per 1h\"\n");
  ASSERT_EQ(test::in_child([&]() -> int {
              const Admission held = binding->admit(work, {}, TimePasses{});
              ::_exit(held ? 0 : 1);
            }),
            0);
  auto clock = stopped_at(0, [&] { set("window", R"({ limit = "10 per 2h", kind = "ring" })"); });
  EXPECT_TRUE(binding->admit(work, {.cost = 9}, test::TimeOf(clock)));
  EXPECT_EQ(admitted(10), 0);
}

// The clock is read before the rate changes, or while the change is being written.
TEST_F(LateWorker, TakesBackNothingThatOthersHaveSpentUnderANewRate) {
  for (const std::string scope : {"", "user."}) {
    for (const bool read_before : {true, false}) {
      open(scope + "rate = \"1/s burst 1\"\n");
      int readings = 0;
      const auto clock = [&] {
        const auto before = HostClock::now();
        if (readings == 0) set(scope + "rate", "10/day burst 10");
        // This reading lies between finding that the rate has changed and taking back what was charged under the old
        // one.
        if (readings == 1) {
          EXPECT_GE(admitted(20), 9);
        }
        return readings++ == 0 && read_before ? before : HostClock::now();
      };
      (void)binding->admit(work, {.user = "u"}, test::TimeOf(clock));
      EXPECT_GE(readings, 2);
      EXPECT_EQ(admitted(20), 0) << scope << read_before;
    }
  }
}

// The limit that refused has been taken out meanwhile.
TEST_F(LateWorker, IsNotRefusedByALimitThatWasTakenOut) {
  open("rate = \"1/day burst 1\"\n");
  EXPECT_EQ(admitted(1), 1);
  auto clock = stopped_at(0, [&] { set("rate", "none"); });
  EXPECT_TRUE(binding->admit(work, {.user = "u"}, test::TimeOf(clock)));
}

}  // namespace
}  // namespace weir::detail

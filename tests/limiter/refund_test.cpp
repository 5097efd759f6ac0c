// SPDX-License-Identifier: Apache-2.0

// What an admission gives back if its process is stopped half-way. A clock that the test turns stops it.

#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "weir/config.hpp"

#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "support/fork.hpp"
#include "support/time_of.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

class LimiterRefund : public ::testing::Test {
 protected:
  void open(const char* toml) {
    const auto config = parse_config(toml, "test");
    ASSERT_TRUE(config) << config.error().message();
    auto opened = SegmentBinding::over(publish_segment(*config, ""));
    ASSERT_TRUE(opened) << opened.error().what;
    binding = std::move(*opened);
    work = *binding->impl().operations().find("work");
    now = HostClock::now();
  }
  Admission admit(const Request& request) { return binding->admit(work, request, TimeStands{now}); }
  int admitted(const Request& request) {
    int count = 0;
    while (count < 100 && admit(request)) ++count;
    return count;
  }

  std::unique_ptr<SegmentBinding> binding;
  Operation work{};
  HostClock::time_point now;
};

// A full table refuses a new user after the rate over all users was charged. Before the charge is undone the process
// is stopped; meanwhile time refills the rate, and other requests spend the new tokens.
TEST_F(LimiterRefund, AnUndoThatIsLateGivesBackNothingThatTimeHasRefilled) {
  open(R"(
[segment]
users = 1
when_full = "refuse"
[operations.work]
rate = "10/s burst 10"
user.rate = "1/day burst 10"
)");
  const auto fill = [&](int user) {
    now += 10s;
    return admit({.user = "filler" + std::to_string(user), .cost = 10});
  };
  int users = 0;
  while (users < 1000 && fill(users)) ++users;
  ASSERT_LT(users, 1000) << "the table is never full";
  now += 10s;
  const auto then = now;
  int readings = 0;
  int others = 0;
  const auto stopped = [&] {
    if (readings++ == 0) return then;
    if (readings == 2) {
      now = then + 1'500ms;
      others = admitted({});
    }
    return now;
  };
  EXPECT_EQ(binding->admit(work, {.user = "late", .cost = 10}, test::TimeOf(stopped)).verdict(),
            Verdict::throttled);
  EXPECT_EQ(others, 10);
  EXPECT_EQ(admitted({}), 0) << "what others have spent came back";
}

TEST_F(LimiterRefund, AnUndoAtOnceGivesBackEverything) {
  open(R"(
[segment]
users = 1
when_full = "refuse"
[operations.work]
rate = "10/s burst 10"
window = "100000 per 1h"
user.rate = "1/day burst 10"
)");
  int users = 0;
  for (; users < 1000; ++users) {
    now += 10s;
    if (!admit({.user = "filler" + std::to_string(users), .cost = 10})) break;
  }
  ASSERT_LT(users, 1000) << "the table is never full";
  now += 10s;
  EXPECT_EQ(admit({.user = "late", .cost = 10}).verdict(), Verdict::throttled);
  EXPECT_EQ(admitted({}), 10);
}

// The admission was charged before the segment was replaced, so there is nothing to give back in the new one.
TEST_F(LimiterRefund, AnAdmissionOfAnotherSegmentGivesNothingBackInThisOne) {
  open("[operations.work]\nrate = \"1/day burst 10\"\n");
  const Request ten{.cost = 10};
  std::unique_ptr<SegmentBinding> before;
  Admission first = admit(ten);
  ASSERT_TRUE(first);
  before = std::move(binding);
  open("[operations.work]\nrate = \"1/day burst 10\"\n");
  EXPECT_EQ(admitted({}), 10);
  binding->impl().refund(work, ten, first, TimePasses{});
  EXPECT_EQ(admitted({}), 0);
}

// A fork copies an admission; only the process that was charged gives it back.
TEST_F(LimiterRefund, ACopyInAChildGivesNothingBack) {
  open("[operations.work]\nrate = \"1/day burst 10\"\n");
  const Request ten{.cost = 10};
  Admission first = admit(ten);
  ASSERT_TRUE(first);
  ASSERT_EQ(test::in_child([&] {
              binding->impl().refund(work, ten, first, TimePasses{});
              return 0;
            }),
            0);
  EXPECT_EQ(admitted({}), 0);
  binding->impl().refund(work, ten, first, TimePasses{});
  now = HostClock::now();
  EXPECT_EQ(admitted({}), 10);
}

}  // namespace
}  // namespace weir::detail

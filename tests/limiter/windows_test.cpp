// SPDX-License-Identifier: Apache-2.0

// Sliding and fixed windows, cooldowns and limits that only count, through the facade.

#include <chrono>
#include <gtest/gtest.h>
#include <initializer_list>
#include <string>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

class LimiterWindows : public ::testing::Test {
 protected:
  void open(const char* toml) {
    auto config = parse_config(toml, "test");
    ASSERT_TRUE(config) << config.error().message();
    auto opened = Limiter::open_private(*config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    work = *limiter->operation("work");
    now = HostClock::now();
  }
  Admission admit(const Request& request = {}) { return limiter->admit_at(now, work, request); }
  std::string refused_by(const Admission& admission) { return limiter->limit_name(admission.limit()); }
  int admitted(int asked, const Request& request = {}) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += admit(request) ? 1 : 0;
    return count;
  }

  std::optional<Limiter> limiter;
  Operation work{};
  HostClock::time_point now;
};

TEST_F(LimiterWindows, AnExactWindowAdmitsItsLimitAndSaysWhenTheNextMayCome) {
  open("[operations.work]\nwindow = \"3 per 10s\"\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(admit());
    now += 1s;
  }
  const Admission refused = admit();
  EXPECT_EQ(refused.verdict(), Verdict::throttled);
  EXPECT_EQ(refused_by(refused), "operations.work.window");
  EXPECT_EQ(refused.retry_after(), 7s);
  now += 7s - 1ns;
  EXPECT_FALSE(admit());
  now += 1ns;
  EXPECT_TRUE(admit());
}

TEST_F(LimiterWindows, ALargeWindowNeverAdmitsMoreThanItsLimitInAnyWindow) {
  open("[operations.work]\nwindow = { limit = \"1000 per 1min\", kind = \"ring\" }\n");
  std::vector<HostClock::time_point> times;
  for (int i = 0; i < 4'000; ++i) {
    if (admit()) times.push_back(now);
    now += 29ms;
  }
  ASSERT_GT(times.size(), 1'900U);
  for (std::size_t i = 1'000; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 1'000], 1min);
}

TEST_F(LimiterWindows, AFixedWindowStartsAnewWithTheCalendar) {
  open("[operations.work]\nwindow = { limit = \"5 per 1h\", kind = \"fixed\" }\n");
  EXPECT_EQ(admitted(7), 5);
  const auto wait = admit().retry_after();
  EXPECT_GT(wait, 0s);
  EXPECT_LE(wait, 1h);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto to_the_hour = std::chrono::ceil<std::chrono::hours>(wall) - wall;
  EXPECT_LT(std::chrono::abs(wait - to_the_hour), 5s);
  now += wait;
  EXPECT_EQ(admitted(7), 5);
}

TEST_F(LimiterWindows, CountingGoesOnAboveTheLimitAndSaysWhenItStartsAnew) {
  open(
      "[operations.work]\nwindow = { limit = \"2 per 1h\", kind = \"fixed\" }\n"
      "user.window = { limit = \"3 per 1h\", kind = \"fixed\" }\n");
  for (std::uint32_t i = 1; i <= 5; ++i) {
    const auto counted = limiter->count(work, {.user = "alice"});
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->count, i);
    EXPECT_EQ(counted->of, 2U) << "the shared one is further over its limit";
    const auto left = counted->expires - std::chrono::system_clock::now();
    EXPECT_GT(left, -5s);
    EXPECT_LE(left, 1h + 5s);
  }
  const auto of_bob = limiter->count(work, {.user = "bob", .cost = 4});
  EXPECT_EQ(of_bob->count, 9U);
  open("[operations.work]\nwindow = \"2 per 1h\"\n");
  EXPECT_FALSE(limiter->count(work)) << "no fixed window";
}

TEST_F(LimiterWindows, CountingGoesOnInWindowsThatOnlyCountToo) {
  for (const char* limits :
       {"[operations.work]\nwindow = { limit = \"2 per 1day\", kind = \"fixed\", shadow = true }\n",
        "[operations.work]\nuser.window = { limit = \"2 per 1day\", kind = \"fixed\", shadow = true }\n"}) {
    open(limits);
    for (std::uint32_t i = 1; i <= 3; ++i) {
      const auto counted = limiter->count(work, {.user = "alice"});
      ASSERT_TRUE(counted);
      EXPECT_EQ(counted->count, i);
      EXPECT_EQ(counted->of, 2U);
    }
  }
}

// A limit that only counts reports what it would do if it were enforced.
TEST_F(LimiterWindows, AChargeIsSpentUnderLimitsThatOnlyCountToo) {
  const test::SegmentName name;
  const std::string shadow = R"({ limit = "5/day burst 5", shadow = true })";
  auto config =
      parse_config("[segment]\nusers = 10\n[operations.work]\nrate = " + shadow + "\nuser.rate = " + shadow +
                       "\nwindow = { limit = \"5 per 1day\", shadow = true }\n",
                   "test");
  ASSERT_TRUE(config) << config.error().message();
  config->segment.name = name.str();
  auto opened = Limiter::open(*config);
  ASSERT_TRUE(opened) << opened.error().message();
  opened->charge(*opened->operation("work"), {.user = "alice", .cost = 5});
  EXPECT_TRUE(opened->admit("work", {.user = "alice"}));
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->limits.size(), 3U);
  for (const LimitStatus& limit : snapshot->limits) EXPECT_EQ(limit.would_refuse, 1U) << limit.name;
}

TEST_F(LimiterWindows, EveryUserHasAWindowOfItsOwn) {
  open("[operations.work]\nuser.window = \"4 per 1min\"\n");
  EXPECT_EQ(admitted(6, {.user = "alice"}), 4);
  EXPECT_EQ(admitted(6, {.user = "bob"}), 4);
  const Admission refused = admit({.user = "alice"});
  EXPECT_EQ(refused_by(refused), "operations.work.user.window");
  now += refused.retry_after() - 1us;
  EXPECT_FALSE(admit({.user = "alice"}));
  now += 1us;
  EXPECT_TRUE(admit({.user = "alice"}));
}

TEST_F(LimiterWindows, RatesAndWindowsMustAllAgreeAndARefusalChargesNone) {
  open("[operations.work]\nwindow = [\"10 per 1min\", \"3 per 1s\"]\nrate = \"1/day burst 5\"\n");
  EXPECT_EQ(admitted(4), 3);
  now += 1s + 1us;  // times in the log are distinct, by two ticks
  EXPECT_EQ(admitted(4), 2) << "the rate's last two tokens: none was lost to the refusals before";
}

TEST_F(LimiterWindows, AUserIsBlockedAfterSoManyRefusalsInARowAndNobodyElse) {
  open("[operations.work.user]\nrate = \"1/s burst 1\"\ncooldown = { for = \"5min\", refusals = 3 }\n");
  const Request alice{.user = "alice"};
  EXPECT_TRUE(admit(alice));
  EXPECT_EQ(admit(alice).verdict(), Verdict::throttled);
  EXPECT_EQ(admit(alice).verdict(), Verdict::throttled);
  now += 1s;
  EXPECT_TRUE(admit(alice)) << "ends the row";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admit(alice).verdict(), Verdict::throttled);
  const Admission blocked = admit(alice);
  EXPECT_EQ(blocked.verdict(), Verdict::blocked);
  EXPECT_EQ(refused_by(blocked), "operations.work.user.cooldown");
  EXPECT_LE(blocked.retry_after(), 5min + 2us);
  EXPECT_GE(blocked.retry_after(), 5min);
  EXPECT_TRUE(admit({.user = "bob"}));
  now += blocked.retry_after();
  EXPECT_TRUE(admit(alice));
}

TEST_F(LimiterWindows, AResetEndsACooldown) {
  open("[operations.work]\nrate = \"1/s burst 1\"\ncooldown = \"1h\"\n");
  EXPECT_TRUE(admit());
  EXPECT_EQ(admit().verdict(), Verdict::throttled);
  EXPECT_EQ(admit().verdict(), Verdict::blocked);
  limiter->reset(work);
  EXPECT_TRUE(admit());
}

TEST_F(LimiterWindows, PeekChargesNothingChargeOverdrawsRefundGivesBack) {
  open(
      "[operations.work]\nrate = \"1/s burst 10\"\nwindow = \"100 per 1min\"\nuser.rate = \"1/s burst "
      "10\"\n");
  const Request alice{.user = "alice", .cost = 4};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter->peek(work, alice));
  Admission admission = limiter->admit(work, alice);
  ASSERT_TRUE(admission);
  auto left = limiter->quotas(work, alice);
  ASSERT_EQ(left.size(), 3U);
  EXPECT_EQ(left[0].remaining, 6U);
  EXPECT_EQ(left[1].remaining, 96U);
  EXPECT_EQ(left[2].remaining, 6U);
  limiter->refund(work, alice, admission);
  left = limiter->quotas(work, alice);
  EXPECT_EQ(left[0].remaining, 10U);
  EXPECT_EQ(left[1].remaining, 100U);
  EXPECT_EQ(left[2].remaining, 10U);
  limiter->charge(work, {.user = "alice", .cost = 15});
  const Decision refused = limiter->peek(work, {.user = "alice"});
  EXPECT_EQ(refused.verdict, Verdict::throttled);
  EXPECT_GT(refused.retry_after, 5s) << "five tokens overdrawn, and one more to earn";
}

TEST_F(LimiterWindows, QuotasSayWhenOneTokenMoreIsThereAndWhenAllAre) {
  open(R"(
[operations.work]
rate = "1/h burst 10"
window = ["100 per 1h", { limit = "100 per 1h", kind = "fixed" }]
[operations.work.user]
rate = "1/h burst 10"
window = "100 per 1h"
)");
  const Request alice{.user = "alice", .cost = 4};
  for (const Quota& full : limiter->quotas(work, alice)) EXPECT_EQ(full.more_in, 0s) << full.name;
  ASSERT_TRUE(limiter->admit(work, alice));
  const auto quotas = limiter->quotas(work, alice);
  ASSERT_EQ(quotas.size(), 5U);
  for (const Quota& quota : quotas) {
    EXPECT_GT(quota.more_in, 0s) << quota.name;
    EXPECT_LE(quota.more_in, quota.reset) << quota.name;
    if (quota.name.find("rate") == std::string::npos) continue;
    EXPECT_LE(quota.more_in, 1h) << quota.name;
    EXPECT_GT(quota.reset, 3h) << quota.name;
  }
}

TEST_F(LimiterWindows, LimitsThatOnlyCountRefuseNothingAndKeepTheirOwnBooks) {
  open(R"(
[operations.work]
rate = { limit = "1/day burst 5", candidate = "1/day burst 3" }
window = { limit = "2 per 1h", shadow = true }
concurrent = { limit = 10, candidate = 1 }
user.rate = { limit = "1/day burst 1", shadow = true }
)");
  std::vector<Admission> held;
  for (int i = 0; i < 6; ++i) held.push_back(admit({.user = "alice"}));
  int passed = 0;
  for (const Admission& admission : held) passed += admission ? 1 : 0;
  EXPECT_EQ(passed, 5) << "the enforced rate alone decides";
  EXPECT_EQ(refused_by(held.back()), "operations.work.rate");
}

TEST_F(LimiterWindows, AUserWithLimitsOfItsOwnHasThoseInsteadOfTheOperations) {
  open(R"(
[operations.work.user]
rate = "1/day burst 2"
[overrides.users."big"]
rate = "1/day burst 7"
[overrides.users."root"]
exempt = true
)");
  EXPECT_EQ(admitted(10, {.user = "alice"}), 2);
  EXPECT_EQ(admitted(10, {.user = "big"}), 7);
  EXPECT_EQ(admitted(10, {.user = "root"}), 10);
}

TEST_F(LimiterWindows, ARefundGivesBackOnlyWhatTimeHasNotRefilled) {
  for (const char* const rate : {"rate = \"1000/s burst 10\"", "user.rate = \"1000/s burst 10\""}) {
    open((std::string("[operations.work]\n") + rate + "\n").c_str());
    const Request ten{.user = "alice", .cost = 10};
    Admission first = admit(ten);
    ASSERT_TRUE(first);
    now += 11ms;  // full again
    while (HostClock::now() < now) {
    }
    EXPECT_EQ(admitted(30, {.user = "alice"}), 10) << rate;
    limiter->refund(work, ten, first);  // by the real clock
    EXPECT_EQ(admitted(30, {.user = "alice"}), 0) << rate;
  }
}

TEST_F(LimiterWindows, EqualTimesOfAWholeSecondClockAreEqual) {
  open("[operations.work]\nwindow = \"5 per 10s\"\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(admitted(6), 5) << "at " << 10 * i << " s";
    now += 10s;
  }
}

// A process that is stopped between reading the clock and charging charges by a reading of long ago.
TEST_F(LimiterWindows, AChargeByAnOldClockReadingNeverMakesAWindowForget) {
  for (const char* const window :
       {"user.window = \"10 per 100ms\"", "user.window = { limit = \"10 per 100ms\", kind = \"fixed\" }",
        "window = { limit = \"10 per 100ms\", kind = \"fixed\" }",
        "window = { limit = \"10 per 100ms\", kind = \"ring\" }", "window = \"10 per 100ms\""}) {
    open((std::string("[operations.work]\n") + window + "\n").c_str());
    const Request alice{.user = "alice"};
    for (const auto late : std::initializer_list<std::chrono::nanoseconds>{7s, 2h, 100h}) {
      now += 1000h;
      const auto then = now;
      EXPECT_EQ(admitted(30, alice), 10) << window;
      now = then - late;
      EXPECT_EQ(admitted(1, alice), 0) << window;
      now = then;
      EXPECT_EQ(admitted(30, alice), 0) << window << ", after one that was late by " << late.count() << " ns";
    }
  }
}

}  // namespace
}  // namespace weir

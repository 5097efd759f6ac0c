// SPDX-License-Identifier: Apache-2.0

// Cooldowns through the facade: what the refusal that begins one says, and what one that only counts would
// have done.

#include <chrono>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <string>

#include "weir/config.hpp"
#include "weir/fields.hpp"
#include "weir/http.hpp"
#include "weir/limiter.hpp"

#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

/// A segment with one operation, on a clock that is turned by hand.
class Subject {
 public:
  explicit Subject(const std::string& operation) {
    const std::string text = "[segment]\nname = \"" + name_.str() +
                             "\"\nusers = 100\nworkers = 4\n[operations.work]\n" + operation;
    auto config = parse_config(text, "test");
    EXPECT_TRUE(config) << config.error().message();
    auto opened = Limiter::open(*config);
    EXPECT_TRUE(opened) << opened.error().message();
    limiter_.emplace(std::move(*opened));
    work_ = *limiter_->operation("work");
  }

  Decision ask(HostClock::time_point now, const char* user = "alice") {
    return limiter_->admit_at(now, work_, {.user = user}).decision();
  }
  [[nodiscard]] std::string name_of(LimitId limit) const { return limiter_->limit_name(limit); }
  /// Requests that the only cooldown would have refused.
  [[nodiscard]] std::uint64_t would_refuse() const {
    const auto snapshot = take_snapshot(name_.str());
    EXPECT_TRUE(snapshot) << snapshot.error().message();
    const std::vector<LimitStatus> cooldowns = kCooldowns.rows(*snapshot);
    EXPECT_EQ(cooldowns.size(), 1U);
    return cooldowns.at(0).would_refuse;
  }

 private:
  test::SegmentName name_;
  std::optional<Limiter> limiter_;
  Operation work_{};
};

class Cooldowns : public ::testing::TestWithParam<const char*> {
 protected:
  /// A rate and a cooldown of the scope that is tested: "" or "user.".
  [[nodiscard]] static std::string limits(const char* rate, const char* cooldown) {
    return fmt::format("{0}rate = \"{1}\"\n{0}cooldown = {{ {2} }}\n", GetParam(), rate, cooldown);
  }
  HostClock::time_point now = HostClock::now() + 1h;
};
INSTANTIATE_TEST_SUITE_P(Scopes, Cooldowns, ::testing::Values("", "user."));

TEST_P(Cooldowns, TheRefusalThatBeginsOneSaysWhenItEnds) {
  Subject subject(limits("10/min burst 1", "for = \"5min\", refusals = 3"));
  ASSERT_TRUE(subject.ask(now));
  for (int refusal = 1; refusal <= 2; ++refusal) EXPECT_EQ(subject.ask(now).retry_after, 6s) << refusal;

  const Decision third = subject.ask(now);
  EXPECT_EQ(third.verdict, Verdict::throttled);
  EXPECT_EQ(subject.name_of(third.limit), fmt::format("operations.work.{}rate", GetParam()));
  EXPECT_EQ(third.retry_after, 5min);

  EXPECT_EQ(subject.ask(now + third.retry_after - 1ns).verdict, Verdict::blocked);
  EXPECT_TRUE(subject.ask(now + third.retry_after));
}

TEST_P(Cooldowns, OneOfWholeSecondsIsSaidInAsManyWheneverItBegins) {
  for (const std::chrono::nanoseconds later : {0ns, 1ns, 2ns, 3ns}) {
    Subject subject(limits("10/min burst 1", "for = \"5min\", refusals = 1"));
    ASSERT_TRUE(subject.ask(now + later));
    EXPECT_EQ(http_answer(subject.ask(now + later)).retry_after, 300) << "later by " << later.count();
  }
}

TEST_P(Cooldowns, ARateThatTakesLongerThanTheCooldownIsStillTheAnswer) {
  Subject subject(limits("1/h burst 1", "for = \"5min\", refusals = 1"));
  ASSERT_TRUE(subject.ask(now));
  EXPECT_EQ(subject.ask(now).retry_after, 1h);
}

TEST_P(Cooldowns, OneThatOnlyCountsChangesNoAnswer) {
  Subject subject(limits("10/min burst 1", "for = \"5min\", refusals = 1, shadow = true"));
  ASSERT_TRUE(subject.ask(now));
  EXPECT_EQ(subject.ask(now).retry_after, 6s);
  EXPECT_TRUE(subject.ask(now + 6s));
}

TEST_P(Cooldowns, OneThatOnlyCountsDoesNotCountTheRefusalThatBeginsIt) {
  Subject subject(limits("10/min burst 1", "for = \"5min\", refusals = 2, shadow = true"));
  ASSERT_TRUE(subject.ask(now));
  EXPECT_FALSE(subject.ask(now));
  EXPECT_FALSE(subject.ask(now));
  EXPECT_EQ(subject.would_refuse(), 0U) << "the rate refused both";
  EXPECT_FALSE(subject.ask(now));
  EXPECT_TRUE(subject.ask(now + 6s));
  EXPECT_EQ(subject.would_refuse(), 2U);
}

TEST_P(Cooldowns, AnAdmissionEndsARowWhereOneOnlyCounts) {
  Subject subject(limits("1/s burst 1", "for = \"1h\", refusals = 2, shadow = true"));
  for (int i = 0; i < 6; ++i, now += 1s) {
    EXPECT_TRUE(subject.ask(now)) << i;
    EXPECT_FALSE(subject.ask(now + 1us)) << i;
  }
  EXPECT_EQ(subject.would_refuse(), 0U);
}

// The twin enforces the same cooldown. While it is on, the twin spends nothing under the rate and the other
// does, so both wait until the rate is at rest before they go on.
TEST_P(Cooldowns, OneThatOnlyCountsCountsWhatATwinRefuses) {
  std::mt19937_64 random(20'260'725);
  for (int round = 0; round < 10; ++round) {
    const std::string settings = fmt::format("for = \"10min\", refusals = {}", 1 + random() % 4);
    Subject twin(limits("1/s burst 3", settings.c_str()));
    Subject shadow(limits("1/s burst 3", (settings + ", shadow = true").c_str()));
    std::uint64_t refused = 0;
    for (int step = 0; step < 300; ++step) {
      now += std::chrono::milliseconds(random() % 1'200);
      const char* const user = random() % 3 == 0 ? "alice" : "bob";
      const Decision enforced = twin.ask(now, user);
      const Decision counted = shadow.ask(now, user);
      if (enforced.verdict != Verdict::blocked) {
        ASSERT_EQ(enforced.verdict, counted.verdict) << "round " << round << " step " << step;
        continue;
      }
      ++refused;
      if (random() % 4 == 0) now += 10min + 3s;  // both are at rest
    }
    EXPECT_EQ(shadow.would_refuse(), refused) << "round " << round << " " << settings;
  }
}

}  // namespace
}  // namespace weir

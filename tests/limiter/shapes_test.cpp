// SPDX-License-Identifier: Apache-2.0

// Plans of the usual shapes are decided by code that is compiled for them. It decides as the code for any plan does.

#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

/// A limiter over a segment of its own.
class Subject {
 public:
  explicit Subject(const std::string& limits)
      : limiter_(*Limiter::open(*parse_config(
            fmt::format("[segment]\nname = '{}'\nusers = 64\nworkers = 4\n{}", name_.str(), limits),
            "shapes"))),
        x_(*limiter_.operation("x")) {
    const auto segment =
        detail::Segment::attach(name_.str(), detail::OpenMode::read_only, detail::kAbiFingerprint);
    epoch_ = HostClock::time_point(std::chrono::nanoseconds(segment->header().created_monotonic_ns));
  }

  /// Leaves the limits as a changer does that is killed half-way: then no plan is kept, and every request is
  /// decided by the code for any plan.
  void decide_by_the_general_code() {
    const auto segment =
        detail::Segment::attach(name_.str(), detail::OpenMode::read_write, detail::kAbiFingerprint);
    ASSERT_TRUE(segment);
    const auto sections = detail::Sections::of(*segment);
    ASSERT_TRUE(sections);
    sections->control->turn.store(1, std::memory_order_seq_cst);
  }

  /// @param after  the time since the segment was made, by which windows are aligned.
  [[nodiscard]] Admission admit(std::chrono::nanoseconds after, const Request& request) {
    return limiter_.admit_at(epoch_ + after, x_, request);
  }

 private:
  test::SegmentName name_;
  Limiter limiter_;
  Operation x_;
  HostClock::time_point epoch_;
};

// Every shape of choose_ways(), and neighbours of each that have none.
constexpr const char* kLimits[] = {
    // NOLINT(modernize-avoid-c-arrays)
    "[operations.x]\nrate = '5/s burst 3'\n",
    "[global]\nrate = '7/s burst 4'\n[operations.x]\nrate = '5/s burst 3'\n",
    "[global]\nrate = '7/s burst 4'\n[operations.x]\nrate = ['5/s burst 3', '20/min burst 20']\n",
    "[operations.x.user]\nrate = '2/s burst 2'\n",
    "[operations.x]\nrate = '5/s burst 3'\n[operations.x.user]\nrate = '2/s burst 2'\n",
    "[global]\nrate = '7/s burst 4'\n[operations.x]\nrate = '5/s burst 3'\n"
    "[operations.x.user]\nrate = '2/s burst 2'\n",
    "[operations.x.user]\nwindow = '4 per 3s'\n",
    "[operations.x]\nconcurrent = 3\n[operations.x.user]\nconcurrent = 2\n",
    "[global]\nrate = '70/s burst 9'\n[operations.x]\nrate = '50/s burst 8'\nconcurrent = 4\n"
    "breaker = { failures = 3, recovery = '2s' }\n[operations.x.user]\nrate = '20/s burst 5'\nconcurrent = "
    "2\n",
    "[global]\nrate = '70/s burst 9'\n[operations.x]\nrate = '50/s burst 8'\nconcurrent = 4\n"
    "breaker = { failure_rate = 0.5, minimum_calls = 4, window = '5s', recovery = '2s' }\n"
    "[operations.x.user]\nrate = '20/s burst 5'\nconcurrent = 2\n",
    "[operations.x]\nrate = '5/s burst 3'\n[operations.x.user]\nrate = '2/s burst 2'\n"
    "[overrides.users.user-1]\nrate = '9/s burst 9'\n",
    "[operations.x]\nrate = '5/s burst 3'\ncooldown = { for = '2s', refusals = 3 }\n",
};

TEST(Shapes, DecideAsTheCodeForAnyPlanDoes) {
  for (const char* limits : kLimits) {
    SCOPED_TRACE(limits);
    if (!parse_config(limits, "shapes")) {
      ADD_FAILURE() << parse_config(limits, "shapes").error().message();
      continue;
    }
    Subject usual(limits);
    Subject general(limits);
    general.decide_by_the_general_code();
    std::mt19937_64 random(7);
    std::deque<std::pair<Admission, Admission>> held;
    std::chrono::nanoseconds now = 1s;
    int admitted = 0;
    int refused = 0;
    for (int i = 0; i < 4'000; ++i) {
      now += std::chrono::milliseconds(random() % 200);
      const std::string user = random() % 8 == 0 ? "" : fmt::format("user-{}", random() % 4);
      const bool unusual = random() % 8 == 0;
      const Request request{.user = user,
                            .cost = unusual ? static_cast<std::uint32_t>(1 + random() % 4) : 1,
                            .weight = unusual ? static_cast<std::uint32_t>(1 + random() % 2) : 1};
      std::pair<Admission, Admission> both{usual.admit(now, request), general.admit(now, request)};
      const Decision& one = both.first.decision();
      const Decision& other = both.second.decision();
      ASSERT_EQ(one.verdict, other.verdict) << i;
      ASSERT_EQ(one.limit, other.limit) << i;
      ASSERT_EQ(one.retry_after, other.retry_after) << i;
      ASSERT_EQ(one.probe, other.probe) << i;
      (one ? admitted : refused) += 1;
      held.push_back(std::move(both));
      while (held.size() > random() % 6) {
        const auto outcome = static_cast<Outcome>(random() % 3);
        held.front().first.report(outcome);
        held.front().second.report(outcome);
        held.pop_front();
      }
    }
    EXPECT_GT(admitted, 100);
    EXPECT_GT(refused, 100);
  }
}

}  // namespace
}  // namespace weir

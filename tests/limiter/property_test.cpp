// SPDX-License-Identifier: Apache-2.0

// Random policies under random traffic keep the promises.

#include <algorithm>
#include <chrono>
#include <deque>
#include <gtest/gtest.h>
#include <random>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t upto(std::uint64_t most) { return engine_() % (most + 1); }
  bool once_in(std::uint64_t n) { return engine_() % n == 0; }

 private:
  std::mt19937_64 engine_;
};

Limits random_limits(Random& random, bool user) {
  Limits limits;
  for (std::uint64_t i = random.upto(2); i > 0; --i) {
    const auto burst = static_cast<std::uint32_t>(1 + random.upto(9));
    limits.rates.push_back({1 + random.upto(40), std::chrono::milliseconds(1 + random.upto(20'000)), burst});
  }
  for (std::uint64_t i = random.upto(2); i > 0; --i) {
    const WindowKind kind = user                ? WindowKind::weighted
                            : random.once_in(2) ? WindowKind::log
                                                : WindowKind::ring;
    limits.windows.push_back({static_cast<std::uint32_t>(1 + random.upto(12)),
                              std::chrono::milliseconds(500 + random.upto(20'000)), kind});
  }
  return limits;
}

Config random_config(Random& random) {
  Config config;
  config.segment.users = 1000;
  config.global.shared = random_limits(random, false);
  config.operations["x"] = {random_limits(random, false), random_limits(random, true), {}};
  return config;
}

// Exact kinds of windows never admit more than the limit in any window; rates never admit more than the burst and the
// tokens that were earned.
void expect_kept(const Limits& limits, const std::vector<std::chrono::nanoseconds>& times) {
  for (const Window& window : limits.windows) {
    if (window.kind == WindowKind::weighted) continue;
    for (std::size_t i = window.limit; i < times.size(); ++i) {
      // Log times are distinct by 2 ticks: up to 1 ns for each of sixty-four in a row.
      EXPECT_GE(times[i] - times[i - window.limit] + 1us, window.length);
    }
  }
  for (const Rate& rate : limits.rates) {
    for (std::size_t i = 0; i < times.size(); ++i) {
      for (std::size_t j = i + rate.burst; j < times.size(); j += 7) {
        const double earned = static_cast<double>((times[j] - times[i]).count()) *
                              static_cast<double>(rate.count) / static_cast<double>(rate.period.count());
        EXPECT_LE(static_cast<double>(j - i + 1), rate.burst + earned + 1e-6);
      }
    }
  }
}

TEST(AdmissionProperty, NoLimitIsExceededAndRetryAfterIsExact) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const Config config = random_config(random);
    auto limiter = Limiter::open_private(config);
    ASSERT_TRUE(limiter) << limiter.error().message();
    const Operation x = *limiter->operation("x");
    const HostClock::time_point start = HostClock::now();
    HostClock::time_point now = start;
    std::vector<std::chrono::nanoseconds> all;
    for (int step = 0; step < 250; ++step) {
      now += std::chrono::nanoseconds(random.upto(random.once_in(5) ? 3'000'000'000 : 50'000'000));
      const Request request{.user = "alice"};
      const Admission admission = limiter->admit_at(now, x, request);
      if (admission) {
        all.push_back(now - start);
        continue;
      }
      ASSERT_EQ(admission.verdict(), Verdict::throttled);
      ASSERT_GT(admission.retry_after(), 0ns);
      // No other request comes meanwhile, so it is still refused one tick before the wait ends, and then passes.
      const auto at = now + admission.retry_after();
      const Admission early = limiter->admit_at(at - 1us, x, request);
      ASSERT_FALSE(early) << "retry_after came too late by more than a microsecond";
      const Admission then = limiter->admit_at(at, x, request);
      // One limit has the longest wait. Another could get a longer one in between only by being charged, and a refusal
      // charges nothing.
      ASSERT_TRUE(then) << "round " << round << " step " << step << ": refused by "
                        << limiter->limit_name(then.limit()) << ", after "
                        << limiter->limit_name(admission.limit());
      now = at;
      all.push_back(now - start);
    }
    expect_kept(config.global.shared, all);
    expect_kept(config.operations.at("x").shared, all);
    expect_kept(config.operations.at("x").user, all);
  }
}

}  // namespace
}  // namespace weir

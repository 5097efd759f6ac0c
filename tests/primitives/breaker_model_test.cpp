// SPDX-License-Identifier: Apache-2.0

// A breaker beside a model of plain values: what was reported, kept as a list.

#include <deque>
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "primitives/breaker.hpp"
#include "support/breakers.hpp"

namespace weir::test {
namespace {

using enum BreakerOutcome;

// The oracles: what was reported, as a list of plain values; ten obvious lines each.
struct Reported {
  std::uint64_t time;
  std::uint64_t number;  // from 0 in each generation
  bool failure;
  bool slow;
};

class Oracle {
 public:
  explicit Oracle(const BreakerParams& params) : params_(params) {}

  // @return whether it trips.
  bool report(std::uint64_t now, bool failed, bool slow) {
    calls_.push_back({now, number_++, failed, slow});
    in_a_row_ = failed ? in_a_row_ + 1 : 0;
    const BreakerCounts counts = window(now);
    const bool enough = counts.calls >= params_.minimum_calls;
    const auto reached = [&](std::uint64_t count, std::uint64_t rate) {
      return enough && rate != 0 && count * 10'000 >= rate * counts.calls;
    };
    return (params_.consecutive != 0 && in_a_row_ >= params_.consecutive) ||
           reached(counts.failures, params_.failure_rate) || reached(counts.slow, params_.slow_rate);
  }
  void restart() {
    calls_.clear();
    number_ = 0;
    in_a_row_ = 0;
  }
  BreakerCounts window(std::uint64_t now) {
    if (params_.window + params_.window_calls == 0) return {};
    const auto old = [&](const Reported& call) {
      if (params_.window != 0) return call.time / (params_.window / 10) + 10 <= now / (params_.window / 10);
      const std::uint64_t block = (params_.window_calls + 9) / 10;
      const std::uint64_t blocks = (params_.window_calls + block - 1) / block;
      return call.number / block + blocks <= (number_ - 1) / block;
    };
    while (!calls_.empty() && old(calls_.front())) calls_.pop_front();
    BreakerCounts counts;
    for (const Reported& call : calls_) {
      ++counts.calls;
      counts.failures += call.failure ? 1 : 0;
      counts.slow += call.slow ? 1 : 0;
    }
    return counts;
  }

 private:
  BreakerParams params_;
  std::deque<Reported> calls_;
  std::uint64_t number_ = 0;
  std::uint64_t in_a_row_ = 0;
};

void expect_as_the_oracle(const BreakerParams& params, std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  BreakerHost host(params);
  Oracle oracle(params);
  nanoseconds now = 10s;
  int trips = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += nanoseconds(random() % 8 == 0 ? random() % 3'000'000'000 : random() % 100'000'000);
    const bool failed = random() % 100 < (i / 500 % 2 == 0 ? 20U : 45U);
    const bool slow = random() % 100 < 20;
    ASSERT_EQ(host.status(now).window, oracle.window(at(now))) << "step " << i;
    host.call(now, failed ? failure : success, slow ? 2s : 1s);
    const bool tripped = oracle.report(at(now), failed, params.slow_rate != 0 && slow);
    ASSERT_EQ(host.last.to == kOpen, tripped) << "step " << i;
    if (!tripped) {
      ASSERT_EQ(host.status(now).window, oracle.window(at(now))) << "step " << i;
      continue;
    }
    ++trips;
    now += nanoseconds(detail::ns_from_ticks(host.admit(now)));
    host.call(now, success);
    ASSERT_EQ(host.last.to, kClosed) << "step " << i;
    oracle.restart();
  }
  EXPECT_GT(trips, 3) << "a run without trips shows little";
}

TEST(Breaker, DecidesLikeTheObviousModel) {
  const auto seed = std::random_device{}();
  const BreakerParams base{.slow_call = at(1s), .recovery = at(1s), .probe_timeout = at(1s)};
  for (std::uint32_t in_a_row = 1; in_a_row <= 5; ++in_a_row) {
    BreakerParams params = base;
    params.consecutive = in_a_row;
    expect_as_the_oracle(params, seed + in_a_row);
  }
  for (const nanoseconds window : {1s, 10s, 30s}) {
    BreakerParams params = base;
    params.window = at(window);
    params.minimum_calls = 8;
    params.failure_rate = 5'000;
    params.slow_rate = window == 10s ? 4'000 : 0;
    expect_as_the_oracle(params, seed);
  }
  // Cells hold more calls than the minimum: a success in a good cell looks no further.
  for (const std::uint32_t minimum : {1U, 3U, 5U}) {
    BreakerParams params = base;
    params.window = minimum == 3 ? 0 : at(30s);
    params.window_calls = minimum == 3 ? 200 : 0;
    params.minimum_calls = minimum;
    params.failure_rate = 4'500;
    params.slow_rate = minimum == 5 ? 3'500 : 0;
    SCOPED_TRACE("at least " + std::to_string(minimum) + " calls");
    expect_as_the_oracle(params, seed);
  }
  for (const std::uint32_t calls : {1U, 2U, 7U, 10U, 11U, 15U, 20U, 99U, 100U}) {
    BreakerParams params = base;
    params.window_calls = calls;
    params.minimum_calls = std::min(calls, 20U);
    params.failure_rate = calls > 50 ? 4'000 : 6'000;
    params.consecutive = calls == 20 ? 4 : 0;
    SCOPED_TRACE("window of " + std::to_string(calls) + " calls");
    expect_as_the_oracle(params, seed);
  }
}

}  // namespace
}  // namespace weir::test

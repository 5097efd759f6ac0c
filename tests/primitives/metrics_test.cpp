// SPDX-License-Identifier: Apache-2.0

// Counters of requests against the plain list of what happened.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "base/ticks.hpp"
#include "primitives/lane.hpp"
#include "primitives/metric_cell.hpp"
#include "primitives/metric_sums.hpp"
#include "primitives/response_times.hpp"

namespace weir::detail {
namespace {

using Writer = MetricWriter<true>;

constexpr std::uint64_t kSecond = ticks_from_ns(1'000'000'000);
constexpr std::uint64_t kNow = 10'000 * kSecond;
constexpr std::uint64_t kWorker = std::uint64_t{1} << 63 | std::uint64_t{7} << 32 | 0x101;
constexpr std::uint64_t kOther = std::uint64_t{1} << 63 | std::uint64_t{8} << 32 | 0x101;

bool never_over(std::uint64_t /*tenant*/) {
  return false;
}

TEST(ResponseTimes, EveryTimeLiesBetweenTheBoundsOfItsCounter) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t ticks = random() >> (random() % 64);
    const std::uint32_t index = response_times::index(ticks);
    ASSERT_LT(index, response_times::kCounters);
    ASSERT_GE(ticks, response_times::begin(index)) << ticks;
    if (index + 1 < response_times::kCounters) {
      ASSERT_LT(ticks, response_times::begin(index + 1)) << ticks;
    }
  }
}

TEST(ResponseTimes, ATimeIsShownWithAnErrorOfAtMostThreePercentFromAMicrosecondToTenMinutes) {
  double worst = 0;
  for (double ns = 1'024; ns < 600e9; ns *= 1.0001) {
    const std::uint64_t ticks = ticks_from_ns(static_cast<std::uint64_t>(ns));
    const auto shown = static_cast<double>(response_times::shown(response_times::index(ticks)));
    worst = std::max(worst, std::abs(shown / static_cast<double>(ticks) - 1));
  }
  EXPECT_LE(worst, 0.03);
  EXPECT_GT(worst, 0.028) << "the test sees the ends of the steps";
}

TEST(ResponseTimes, EveryOctaveIsABound) {
  for (std::uint32_t octave = 0; octave <= response_times::kOctaves; ++octave) {
    const std::uint64_t ticks = std::uint64_t{1} << (response_times::kFirstOctave + octave);
    EXPECT_EQ(response_times::begin(response_times::index(ticks)), ticks);
    EXPECT_LT(response_times::index(ticks - 1), response_times::index(ticks));
  }
}

TEST(ResponseTimes, AQuantileIsThatOfTheSortedList) {
  std::mt19937_64 random(2);
  std::vector<std::uint64_t> all;
  std::array<std::uint64_t, response_times::kCounters> counts{};
  for (int i = 0; i < 20'000; ++i) {
    const auto ticks = static_cast<std::uint64_t>(std::exp(std::normal_distribution(18.0, 2.0)(random)));
    all.push_back(ticks);
    ++counts[response_times::index(ticks)];
  }
  std::sort(all.begin(), all.end());
  for (const double part : {0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(all.size()))) - 1;
    EXPECT_EQ(response_times::shown(response_times::index(all[rank])), response_times::quantile(counts, part))
        << part;
  }
  EXPECT_EQ(response_times::quantile(std::array<std::uint64_t, 4>{}, 0.5), 0U);
}

TEST(Metrics, TheLastMinuteIsWhatThePlainListSays) {
  const auto cell = std::make_unique<MetricCell>();
  begin_as(*cell, 1);
  std::mt19937_64 random(3);
  struct Event {
    std::uint64_t at;
    bool refused;
  };
  std::vector<Event> events;
  std::uint64_t now = kNow;
  const auto since = [&](std::uint64_t from, bool refused) {
    return static_cast<std::uint64_t>(std::count_if(
        events.begin(), events.end(), [&](Event e) { return e.at > from && e.refused == refused; }));
  };
  for (int i = 0; i < 5'000; ++i) {
    // Mostly busy, sometimes quiet for up to two minutes.
    now += random() % 50 == 0 ? random() % (120 * kSecond) : random() % (kSecond / 2);
    const bool refused = random() % 3 == 0;
    if (refused) {
      Writer(*cell).refused(Verdict::throttled, 0, now);
    } else {
      Writer(*cell).admitted(now);
    }
    events.push_back({now, refused});
    const std::uint64_t look = now + random() % (20 * kSecond);
    const MetricFlow minute = minute_of(*cell, look);
    ASSERT_GE(minute.admitted, since(look - 60 * kSecond, false)) << i;
    ASSERT_LE(minute.admitted, since(look - 69 * kSecond, false)) << i;
    ASSERT_GE(minute.refused, since(look - 60 * kSecond, true)) << i;
    ASSERT_LE(minute.refused, since(look - 69 * kSecond, true)) << i;
  }
}

TEST(Metrics, BothWaysOfCountingCountTheSame) {
  const auto alone = std::make_unique<MetricCell>();
  const auto shared = std::make_unique<MetricCell>();
  std::mt19937_64 random(4);
  begin_as(*alone, 1);
  begin_as(*shared, 1);
  std::uint64_t now = kNow;
  for (int i = 0; i < 10'000; ++i) {
    now += random() % kSecond;
    const std::uint64_t ticks = random() % kSecond;
    const auto outcome = static_cast<Outcome>(random() % 3);
    const auto line = static_cast<std::uint32_t>(random() % (MetricCell::kLines + 1));
    const auto count = [&](auto writer) {
      writer.admitted(now);
      writer.refused(static_cast<Verdict>(1 + i % 6), line, now);
      writer.ended(outcome);
      writer.took(ticks, now + 1);
      writer.waited(i % 2 == 0, ticks);
      writer.used(ticks, 1);
    };
    count(MetricWriter<true>(*alone));
    count(MetricWriter<false>(*shared));
  }
  const auto words = [](const MetricCell& cell) {
    const auto* const first = reinterpret_cast<const std::uint64_t*>(&cell);
    return std::vector<std::uint64_t>(first, first + sizeof cell / sizeof(std::uint64_t));
  };
  EXPECT_EQ(words(*alone), words(*shared));
}

TEST(Metrics, AProcessThatTakesOverALaneLosesTheCallsOfTheOneBeforeAndNothingElse) {
  const auto cell = std::make_unique<MetricCell>();
  begin_as(*cell, 1);
  adopt(*cell, kWorker);
  for (int i = 0; i < 5; ++i) Writer(*cell).admitted(kNow);
  for (int i = 0; i < 3; ++i) Writer(*cell).ended(Outcome::success);
  const auto sums = [&](auto is_over) {
    MetricSums all;
    all.add(*cell, 1, kNow, is_over);
    return all;
  };
  EXPECT_EQ(sums(never_over).in_flight(), 2U);
  EXPECT_EQ(sums(never_over).lost_calls(), 0U);
  const auto first_is_over = [](std::uint64_t tenant) { return tenant == kWorker; };
  EXPECT_EQ(sums(first_is_over).in_flight(), 0U);
  EXPECT_EQ(sums(first_is_over).lost_calls(), 2U);
  adopt(*cell, kOther);
  adopt(*cell, kOther);
  Writer(*cell).admitted(kNow);
  EXPECT_EQ(sums(first_is_over).in_flight(), 1U);
  EXPECT_EQ(sums(first_is_over).lost_calls(), 2U);
  EXPECT_EQ(sums(first_is_over).admitted, 6U);
}

TEST(Metrics, ACallThatEndsOnAnotherThreadIsNeitherLostNorInFlight) {
  std::array<MetricCell, 2> cells{};
  for (MetricCell& cell : cells) {
    begin_as(cell, 1);
    adopt(cell, kWorker);
  }
  Writer(cells[0]).admitted(kNow);
  Writer(cells[1]).ended(Outcome::failure);
  MetricSums all;
  for (const MetricCell& cell : cells) all.add(cell, 1, kNow, never_over);
  EXPECT_EQ(all.in_flight(), 0U);
  // The process ends, and only one of its lanes gets another owner.
  adopt(cells[1], kOther);
  all = {};
  for (const MetricCell& cell : cells)
    all.add(cell, 1, kNow, [](std::uint64_t tenant) { return tenant == kWorker; });
  EXPECT_EQ(all.in_flight(), 0U);
  EXPECT_EQ(all.lost_calls(), 0U);
}

TEST(Metrics, ACellOfAnotherOperationIsPassedOver) {
  const auto cell = std::make_unique<MetricCell>();
  begin_as(*cell, 1);
  Writer(*cell).admitted(kNow);
  Writer(*cell).took(kSecond, kNow);
  MetricSums all;
  all.add(*cell, 2, kNow, never_over);
  EXPECT_EQ(all.admitted, 0U);
  EXPECT_EQ(all.peak, 0U);
  begin_as(*cell, 2);
  all.add(*cell, 2, kNow, never_over);
  EXPECT_EQ(all.admitted, 0U);
  EXPECT_EQ(all.times, decltype(all.times){});
  EXPECT_EQ(all.minute, MetricFlow{});
}

TEST(Metrics, NoBytesMakeAReaderGoAstray) {
  std::mt19937_64 random(5);
  const auto cell = std::make_unique<MetricCell>();
  const std::span<std::uint64_t> words(reinterpret_cast<std::uint64_t*>(cell.get()),
                                       sizeof(MetricCell) / sizeof(std::uint64_t));
  for (int i = 0; i < 1'000; ++i) {
    for (std::uint64_t& word : words) word = random() >> (random() % 64);
    cell->of.store(1, std::memory_order_relaxed);
    MetricSums all;
    all.add(*cell, 1, kNow, [&](std::uint64_t /*tenant*/) { return i % 2 == 0; });
    EXPECT_LE(all.in_flight(), ~std::uint64_t{0} >> 1);
    EXPECT_LE(all.lost_calls(), ~std::uint64_t{0} >> 1);
    (void)response_times::quantile(all.times, 0.99);
    Writer(*cell).refused(static_cast<Verdict>(random()), static_cast<std::uint32_t>(random()), random());
  }
}

TEST(Lane, IsClaimedOnceAndAgainWhenItsOwnerIsOver) {
  Lane lane;
  EXPECT_TRUE(claim(lane, kWorker, never_over));
  EXPECT_FALSE(claim(lane, kWorker, never_over)) << "it is its own already";
  EXPECT_FALSE(claim(lane, kOther, never_over));
  EXPECT_TRUE(claim(lane, kOther, [](std::uint64_t owner) { return owner == kWorker; }));
  EXPECT_EQ(lane.owner.load(std::memory_order_relaxed), kOther);
}

TEST(Lane, RemembersEveryColumnThatHasMemory) {
  Lane lane;
  for (std::uint32_t column = 0; column < Lane::kMostColumns; column += 3) lane.set_used(column);
  for (std::uint32_t column = 0; column < Lane::kMostColumns; ++column)
    EXPECT_EQ(lane.is_used(column), column % 3 == 0) << column;
}

}  // namespace
}  // namespace weir::detail

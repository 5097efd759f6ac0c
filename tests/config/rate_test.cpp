// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdint>
#include <gmock/gmock.h>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint32_t kMaxBurst = std::numeric_limits<std::uint32_t>::max();

std::string seen(const Rate& rate) {
  return std::to_string(rate.count) + " per " + std::to_string(rate.period.count()) + " ns, burst " +
         std::to_string(rate.burst);
}

void expect_rate(std::string_view text, const Rate& expected) {
  const Result<Rate> rate = parse_rate(text);
  ASSERT_TRUE(rate) << text << ": " << rate.error().message();
  EXPECT_EQ(*rate, expected) << text << ": " << seen(*rate);
}

void expect_refused(std::string_view text, const std::string& problem, const std::string& hint) {
  const Result<Rate> rate = parse_rate(text);
  ASSERT_FALSE(rate) << text << ": " << seen(*rate);
  EXPECT_EQ(rate.error().code, Errc::config);
  EXPECT_THAT(rate.error().what, HasSubstr(problem));
  EXPECT_THAT(rate.error().hint, HasSubstr(hint)) << rate.error().what;
}

TEST(Rate, IsReadAsWritten) {
  expect_rate("30/min burst 10", {30, 1min, 10});
  expect_rate("5/10s", {5, 10s, 5});
  expect_rate("1/day", {1, 24h, 1});
  expect_rate("10000000/s", {10'000'000, 1s, 10'000'000});
  expect_rate("1/250ms", {1, 250ms, 1});
}

TEST(Rate, KnowsEveryNameOfAPeriod) {
  for (const char* name : {"s", "sec", "second"}) expect_rate("7/" + std::string(name), {7, 1s, 7});
  for (const char* name : {"min", "minute"}) expect_rate("7/" + std::string(name), {7, 1min, 7});
  for (const char* name : {"h", "hour"}) expect_rate("7/" + std::string(name), {7, 1h, 7});
  for (const char* name : {"d", "day"}) expect_rate("7/" + std::string(name), {7, 24h, 7});
}

TEST(Rate, ToleratesSpacesAndUnderscores) {
  expect_rate("  2_000 / 1_0 s   burst   1_500 ", {2'000, 10s, 1'500});
  expect_rate("2_000/s", {2'000, 1s, 2'000});
}

TEST(Rate, HoldsOnePeriodWithoutABurst) {
  expect_rate("500/hour", {500, 1h, 500});
}

TEST(Rate, QuotesTheTextAndThePeriodItDoesNotKnow) {
  const Result<Rate> rate = parse_rate("30/mim");
  ASSERT_FALSE(rate);
  EXPECT_EQ(rate.error().message(), "\"30/mim\": unknown period \"mim\"; use s, min, hour or day");
}

TEST(Rate, RefusesZeroAndNegativeNumbersByName) {
  expect_refused("0/min", "the count must be at least 1", "30/min burst 10");
  expect_refused("-5/min", "the count must be at least 1", "30/min burst 10");
  expect_refused("5/0s", "the period must be at least 1", "30/min burst 10");
  expect_refused("5/-1s", "the period must be at least 1", "30/min burst 10");
  expect_refused("5/s burst 0", "the burst must be at least 1", "30/min burst 10");
  expect_refused("5/s burst -1", "the burst must be at least 1", "30/min burst 10");
}

TEST(Rate, SaysHowToWriteAFraction) {
  expect_refused("1.5/s", "the count must be a whole number", "write \"3/2s\" instead of \"1.5/s\"");
  expect_refused("1/0.5s", "the period must be a whole number", "write \"3/2s\"");
  expect_refused("1/s burst 2,5", "the burst must be a whole number", "write \"3/2s\"");
}

TEST(Rate, RefusesNumbersThatDoNotFit) {
  expect_refused("18446744073709551616/s burst 1", "the count is too large", "");
  expect_refused("5/s burst 4294967296", "the burst is too large", "use at most 4294967295");
  expect_refused("5/106752d", "the period is too long", "use at most 106751d");
  expect_rate("5/106751d burst 4294967295", {5, 24h * 106'751, kMaxBurst});
}

TEST(Rate, RefusesACountThatIsNoBurst) {
  expect_refused("4294967296/day", "a burst as large as the count exceeds 4294967295", "burst 10");
  expect_rate("4294967296/day burst 9", {4'294'967'296, 24h, 9});
}

TEST(Rate, NamesWhatIsMissing) {
  expect_refused("", "the count is missing", "30/min burst 10");
  expect_refused("/min", "the count is missing", "30/min burst 10");
  expect_refused("30", "no \"/\" after the count", "30/min burst 10");
  expect_refused("30 per min", "no \"/\" after the count", "30/min burst 10");
  expect_refused("30/", "the period is missing", "use s, min, hour or day");
  expect_refused("30/min burst", "the burst is missing", "30/min burst 10");
}

TEST(Rate, RefusesWhateverFollows) {
  expect_refused("30/min 10", "unexpected \"10\"", "30/min burst 10");
  expect_refused("30/min burst 10 20", "unexpected \"20\"", "30/min burst 10");
  expect_refused("30/min bursts 10", "unexpected \"bursts 10\"", "30/min burst 10");
  expect_refused("1__0/min", "no \"/\"", "30/min burst 10");
  expect_refused("10_/min", "no \"/\"", "30/min burst 10");
  expect_refused(std::string_view("1/s\0", 4), "unexpected \"\\x00\"", "");
}

TEST(Rate, ShowsNoControlCharacterOfTheText) {
  expect_refused("30/\x1b[2J", "\"30/\\x1b[2J\": the period is missing", "");
}

TEST(Rate, IsWrittenWithoutWhatGoesWithoutSaying) {
  EXPECT_EQ(format_rate({30, 1min, 10}), "30/min burst 10");
  EXPECT_EQ(format_rate({500, 1h, 500}), "500/hour");
  EXPECT_EQ(format_rate({1, 24h, 1}), "1/day");
  EXPECT_EQ(format_rate({5, 10s, 5}), "5/10s");
  EXPECT_EQ(format_rate({5, 120min, 5}), "5/2h");
  EXPECT_EQ(format_rate({5, 90s, 1}), "5/90s burst 1");
  EXPECT_EQ(format_rate({1, 1500ms, 1}), "1/1500ms");
  EXPECT_EQ(format_rate({1, 1ns, 1}), "1/ns");
}

Rate random_rate(std::mt19937_64& random) {
  constexpr std::chrono::nanoseconds kUnits[] = {1ns, 1us, 1ms, 1s, 1min, 1h, 24h};
  const auto below = [&](std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random);
  };
  const std::chrono::nanoseconds unit = kUnits[below(std::size(kUnits))];
  const std::uint64_t count = (random() >> below(63)) | 1;
  const bool as_count = below(2) == 0 && count <= kMaxBurst;
  const std::uint64_t burst = as_count ? count : 1 + below(kMaxBurst);
  return {count, unit * static_cast<std::int64_t>(1 + below(10'000)), static_cast<std::uint32_t>(burst)};
}

TEST(Rate, SurvivesBeingWrittenAndReadAgain) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const Rate rate = random_rate(random);
    expect_rate(format_rate(rate), rate);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Rate, AnswersAnyBytes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr std::string_view kAlphabet("0123456789_/ -.sminhourdayburst\x1b\xff\0", 35);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::uint64_t length = random() % 24; length > 0; --length)
      text += kAlphabet[random() % kAlphabet.size()];
    const Result<Rate> rate = parse_rate(text);
    if (rate) {
      EXPECT_GE(rate->count, 1U);
      EXPECT_GE(rate->burst, 1U);
      EXPECT_GT(rate->period, 0ns);
    } else {
      EXPECT_EQ(rate.error().code, Errc::config);
      EXPECT_THAT(rate.error().what, StartsWith("\""));
    }
  }
}

TEST(Window, IsReadAndWritten) {
  const std::pair<const char*, Window> texts[] = {
      {"100 per 1min", {100, 1min}}, {"5 per 10s", {5, 10s}}, {"1000 per 1d", {1'000, 24h}}};
  for (const auto& [text, window] : texts) {
    const Result<Window> parsed = parse_window(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, window) << text;
    EXPECT_EQ(format_window(window), text);
  }
  EXPECT_EQ(*parse_window(" 1_000  per day "), (Window{1'000, 24h}));
}

TEST(Window, IsRefusedByName) {
  const std::pair<const char*, const char*> texts[] = {
      {"100/1min", "no \"per\" after the limit"},     {"0 per s", "the limit must be at least 1"},
      {"4294967296 per s", "the limit is too large"}, {"5 per", "the period is missing"},
      {"5 per s burst 3", "unexpected \"burst 3\""},  {"five per s", "the limit is missing"}};
  for (const auto& [text, problem] : texts) {
    const Result<Window> parsed = parse_window(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().what, HasSubstr(problem));
  }
}

TEST(Duration, IsReadExactly) {
  const std::pair<const char*, std::chrono::nanoseconds> texts[] = {
      {"0s", 0ns},  {"7ns", 7ns},   {"1500us", 1500us}, {"250ms", 250ms},
      {"90s", 90s}, {"5min", 5min}, {"2h", 2h},         {"106751d", 24h * 106'751}};
  for (const auto& [text, duration] : texts) {
    const Result<std::chrono::nanoseconds> parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, duration) << text;
    EXPECT_EQ(format_exact_duration(duration), text);
  }
}

TEST(Duration, SurvivesBeingWrittenAndReadAgain) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto duration = std::chrono::nanoseconds(random() >> (1 + random() % 63));
    const Result<std::chrono::nanoseconds> parsed = parse_duration(format_exact_duration(duration));
    ASSERT_TRUE(parsed) << duration.count();
    ASSERT_EQ(*parsed, duration);
  }
}

TEST(Duration, IsRefusedByName) {
  const std::pair<const char*, const char*> texts[] = {
      {"", "the duration is missing"},
      {"5", "the unit is missing"},
      {"-5s", "the duration must be at least 0"},
      {"1.5s", "write \"1500ms\" instead of \"1.5s\""},
      {"5 weeks", "unknown unit \"weeks\""},
      {"106752d", "the duration is too long; use at most 106751d"},
      {"1min 30s", "unexpected \"30s\""}};
  for (const auto& [text, problem] : texts) {
    const Result<std::chrono::nanoseconds> parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(problem));
  }
}

TEST(Duration, HasAtMostThreeDigits) {
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(250ms), "250ms");
  EXPECT_EQ(format_duration(2min), "2min");
  EXPECT_EQ(format_duration(90s), "1.5min");
  EXPECT_EQ(format_duration(1ns), "1ns");
  EXPECT_EQ(format_duration(24h), "1d");
  EXPECT_EQ(format_duration(36h), "1.5d");
  EXPECT_EQ(format_duration(0ns), "0s");
  EXPECT_EQ(format_duration(-1s), "0s");
}

TEST(Duration, IsRoundedUp) {
  EXPECT_EQ(format_duration(1'234'000'001ns), "1.24s");
  EXPECT_EQ(format_duration(12'340ms + 1ns), "12.4s");
  EXPECT_EQ(format_duration(123'000'001ns), "124ms");
  EXPECT_EQ(format_duration(1s + 1ns), "1.01s");
}

TEST(Duration, MovesOnToTheNextUnitWhenRoundingFillsOne) {
  EXPECT_EQ(format_duration(999'999ns), "1ms");
  EXPECT_EQ(format_duration(999'999'999ns), "1s");
  EXPECT_EQ(format_duration(59'999'999'999ns), "1min");
  EXPECT_EQ(format_duration(1h - 1ns), "1h");
  EXPECT_EQ(format_duration(24h - 1ns), "1d");
}

TEST(Duration, CanBeTheLongestOfAll) {
  EXPECT_EQ(format_duration(std::chrono::nanoseconds::max()), "106752d");
}

}  // namespace
}  // namespace weir

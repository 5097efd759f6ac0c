// SPDX-License-Identifier: Apache-2.0
#include "weir/http.hpp"

#include <chrono>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<Quota> kTwo{{LimitId{1}, "operations.x.rate[0]", false, 10, 4, 12s, 20s, 2s},
                              {LimitId{2}, "operations.x.user.rate", true, 3, 0, 18s, 18s, 4500ms}};

/// The values of `name` in all items of a field: `t=` of RateLimit.
std::vector<long> values_of(const HttpAnswer& answer, const std::string& field, const std::string& name) {
  std::vector<long> values;
  for (const HttpField& candidate : answer.fields) {
    if (candidate.name != field) continue;
    const std::string mark = ";" + name + "=";
    for (std::size_t at = 0; (at = candidate.value.find(mark, at)) != std::string::npos; at += mark.size()) {
      values.push_back(std::stol(candidate.value.substr(at + mark.size())));
    }
  }
  return values;
}

TEST(HttpAnswer, SaysWhenToComeBackInWholeSecondsAndNeverZero) {
  EXPECT_EQ(http_answer({Verdict::throttled, LimitId{1}, 1ns}).retry_after, 1);
  EXPECT_EQ(http_answer({Verdict::throttled, LimitId{1}, 1s}).retry_after, 1);
  EXPECT_EQ(http_answer({Verdict::blocked, LimitId{1}, 1001ms}).retry_after, 2);
  EXPECT_THAT(http_answer({Verdict::shed, LimitId{1}, 0s}).fields,
              ElementsAre(HttpField{"Retry-After", "1"}));
  EXPECT_THAT(http_answer({}).fields, IsEmpty());
}

TEST(HttpAnswer, HasAStatusForEveryVerdict) {
  EXPECT_EQ(http_answer({}).status, 200);
  EXPECT_EQ(http_answer({Verdict::throttled}).status, 429);
  EXPECT_EQ(http_answer({Verdict::blocked}).status, 429);
  EXPECT_EQ(http_answer({Verdict::shed}).status, 503);
  EXPECT_EQ(http_answer({Verdict::circuit_open}).status, 503);
  EXPECT_EQ(http_answer({Verdict::circuit_open}).error, "service_unavailable");
  EXPECT_EQ(http_answer({Verdict::never}).status, 400);
  EXPECT_EQ(http_answer({Verdict::never}).retry_after, 0);
}

TEST(HttpAnswer, ListsEveryQuotaAsTheDraftSaysTheTightestFirst) {
  const HttpAnswer answer = http_answer({}, kTwo);
  EXPECT_THAT(answer.fields,
              ElementsAre(HttpField{"RateLimit-Policy",
                                    R"("operations.x.user.rate";q=3;w=18, "operations.x.rate[0]";q=10;w=20)"},
                          HttpField{"RateLimit",
                                    R"("operations.x.user.rate";r=0;t=5, "operations.x.rate[0]";r=4;t=2)"}));
}

TEST(HttpAnswer, NamesTheLimitThatRefusedFirst) {
  const HttpAnswer answer = http_answer({Verdict::throttled, LimitId{1}, 9s}, kTwo);
  EXPECT_THAT(values_of(answer, "RateLimit", "r"), ElementsAre(4, 0));
}

TEST(HttpAnswer, ResetsNoLimitLaterThanRetryAfter) {
  for (const std::chrono::nanoseconds wait : std::vector<std::chrono::nanoseconds>{1ns, 1s, 2s, 3s, 60s}) {
    const HttpAnswer answer = http_answer({Verdict::shed, LimitId{9}, wait}, kTwo);
    for (const long reset : values_of(answer, "RateLimit", "t")) EXPECT_LE(reset, answer.retry_after);
  }
}

TEST(HttpAnswer, KeepsTheRateLimitFieldsWithinOneKilobyteAndTheTightestInThem) {
  std::vector<Quota> quotas;
  for (std::uint32_t i = 0; i < 100; ++i) {
    quotas.push_back({LimitId{1}, "operations.caption_generation.rate", false, 100, 100 - i, 1s, 1s, 1s});
  }
  const HttpAnswer answer = http_answer({}, quotas);
  std::size_t bytes = 0;
  for (const HttpField& field : answer.fields) bytes += field.name.size() + field.value.size();
  EXPECT_LE(bytes, 1000U);
  const std::vector<long> left = values_of(answer, "RateLimit", "r");
  ASSERT_GE(left.size(), 5U);
  for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i], static_cast<long>(i) + 1);
  EXPECT_EQ(values_of(answer, "RateLimit-Policy", "q").size(), left.size());

  const Quota endless{LimitId{1}, std::string(2000, 'x'), false, 1, 1, 1s, 1s, 0s};
  EXPECT_THAT(http_answer({}, {endless}).fields, IsEmpty());
}

TEST(HttpAnswer, GivesTheOldFieldsOfTheQuotaNearestToItsEnd) {
  const HttpAnswer answer = http_answer({}, kTwo, {.rate_limit = false, .x_rate_limit = true});
  EXPECT_THAT(answer.fields,
              ElementsAre(HttpField{"X-RateLimit-Limit", "3"}, HttpField{"X-RateLimit-Remaining", "0"},
                          HttpField{"X-RateLimit-Reset", "18"}));
}

TEST(HttpAnswer, EscapesTheKeysOfUsers) {
  const HttpAnswer answer =
      http_answer({}, {{LimitId{1}, "overrides.users.\"a\r\nb\".rate", true, 1, 1, 0s, 1s}});
  EXPECT_THAT(answer.fields[0].value, ::testing::Not(::testing::HasSubstr("\r")));
  EXPECT_THAT(answer.fields[0].value, ::testing::StartsWith(R"("overrides.users.\"a??b\".rate";q=1)"));
}

}  // namespace
}  // namespace weir

#include "weir/http.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<Quota> kTwo{{LimitId{1}, "operations.x.rate[0]", false, 10, 4, 12s, 20s},
                              {LimitId{2}, "operations.x.user.rate", true, 3, 0, 4500ms, 18s}};

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

TEST(HttpAnswer, ListsEveryQuotaAsTheDraftSays) {
  const HttpAnswer answer = http_answer({}, kTwo);
  EXPECT_THAT(answer.fields,
              ElementsAre(HttpField{"RateLimit-Policy",
                                    R"("operations.x.rate[0]";q=10;w=20, "operations.x.user.rate";q=3;w=18)"},
                          HttpField{"RateLimit",
                                    R"("operations.x.rate[0]";r=4;t=12, "operations.x.user.rate";r=0;t=5)"}));
}

TEST(HttpAnswer, GivesTheOldFieldsOfTheQuotaNearestToItsEnd) {
  const HttpAnswer answer = http_answer({}, kTwo, {.rate_limit = false, .x_rate_limit = true});
  EXPECT_THAT(answer.fields,
              ElementsAre(HttpField{"X-RateLimit-Limit", "3"}, HttpField{"X-RateLimit-Remaining", "0"},
                          HttpField{"X-RateLimit-Reset", "5"}));
}

TEST(HttpAnswer, EscapesTheKeysOfUsers) {
  const HttpAnswer answer =
      http_answer({}, {{LimitId{1}, "overrides.users.\"a\r\nb\".rate", true, 1, 1, 0s, 1s}});
  EXPECT_THAT(answer.fields[0].value, ::testing::Not(::testing::HasSubstr("\r")));
  EXPECT_THAT(answer.fields[0].value, ::testing::StartsWith(R"("overrides.users.\"a??b\".rate";q=1)"));
}

}  // namespace
}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "weir/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

#include "weir/config.hpp"
#include "weir/fields.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

Snapshot of_private_segment(std::string_view config) {
  auto limiter = Limiter::open_private(parse_config(config, "test").value()).value();
  (void)limiter.admit("upload", {.user = "alice"});
  return limiter.snapshot().value();
}

constexpr std::string_view kAllKinds = R"(
[segment]
users = 1000
[global]
rate = "1000/s"
queue = 10
[operations.upload]
rate = "7/h burst 3"
window = "10 per 90s"
concurrent = 3
cooldown = { for = "1500ms", refusals = 3 }
breaker = { failures = 3, recovery = "30s" }
user.rate = { limit = "4/hour", candidate = "5/hour" }
user.window = "10 per 60s"
user.concurrent = 2
)";

// A private segment has no name by which take_snapshot() could find it.
TEST(Report, ALimiterCopiesItsOwnSegmentAlsoAPrivateOne) {
  auto limiter = Limiter::open_private(parse_config(kAllKinds, "test").value()).value();
  const Admission held = limiter.admit("upload", {.user = "alice"});
  ASSERT_TRUE(held);
  const Snapshot snapshot = limiter.snapshot().value();
  EXPECT_EQ(snapshot.segment, "");
  ASSERT_EQ(snapshot.workers.size(), 1U);
  EXPECT_FALSE(snapshot.workers[0].dead);
  EXPECT_EQ(snapshot.workers[0].permits, 2U) << "of the operation and of its user";
  const auto permits = kSharedPermits.rows(snapshot);
  ASSERT_EQ(permits.size(), 1U);
  EXPECT_EQ(permits[0].used, 1U);
  EXPECT_EQ(snapshot.table.active, 4U) << "two rates, a window and permits";
}

TEST(Report, WritesTheJsonThatTheFieldListsSay) {
  Snapshot snapshot = of_private_segment(kAllKinds);
  // Text that must be escaped, or is not UTF-8 at all.
  snapshot.segment = "\"quotes\" \\ \x01 \n \x7f Zürich \U0001F30A";
  snapshot.workers[0].name = "\xff\xc3(\xe2\x82";
  snapshot.created += std::chrono::nanoseconds(1);
  snapshot.workers[0].since = std::chrono::nanoseconds(1);
  snapshot.table.evicted = ~std::uint64_t{0};
  const std::string text = to_json(snapshot).value();
  EXPECT_THAT(text, testing::Not(HasSubstr("Zürich"))) << "ASCII alone";

  const auto written = ordered_json::parse(text);
  EXPECT_EQ(written["workers"][0]["name"], "\ufffd\ufffd(\ufffd\ufffd");
  snapshot.workers[0].name = written["workers"][0]["name"];
  const auto expected = as_json<ordered_json>(snapshot);  // the order of the keys counts, too
  EXPECT_EQ(written, expected);
}

TEST(Report, WritesAHistogramInJsonWithoutABoundForTheRest) {
  const Histogram histogram{
      {{std::chrono::milliseconds(1), 3}, {std::chrono::milliseconds(2), 0}}, 7, std::chrono::seconds(1)};
  EXPECT_EQ(as_json<ordered_json>(FieldValue(histogram)),
            ordered_json::parse(R"([[0.001, 3], [0.002, 0], [null, 7]])"));
}

TEST(Report, WritesAScreenWithNamesThatAreSafeToPrint) {
  Snapshot snapshot = of_private_segment(kAllKinds);
  snapshot.limits.at(0).name = "\x1b[2J";
  snapshot.workers[0].name = "\x1b[2J";
  const std::string status = to_text(snapshot).value();
  EXPECT_THAT(status, HasSubstr("LIMITS OVER ALL CALLERS"));
  EXPECT_THAT(status, HasSubstr("\\x1b[2J"));
  EXPECT_THAT(status, testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(to_workers_text(snapshot).value(), testing::Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace weir

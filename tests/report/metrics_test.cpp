// SPDX-License-Identifier: Apache-2.0

// The exposition for Prometheus, as text. Whether its tools accept it: tests/tools/shm_inspect_metrics_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/fields.hpp"
#include "weir/limiter.hpp"
#include "weir/report.hpp"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::Not;

Snapshot two_limits() {
  Snapshot snapshot;
  snapshot.segment = "captions";
  snapshot.uuid = "uuid";
  snapshot.library_version = "1.2.3";
  snapshot.layout_version = 3;
  snapshot.bytes = 4096;
  snapshot.created = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  LimitStatus rate;
  rate.name = "operations.upload.rate";
  rate.operation = "upload";
  rate.rule = Rate{};
  rate.capacity = 10;
  rate.used = 4;
  rate.resets_in = std::chrono::milliseconds(1500);
  LimitStatus permits;
  permits.name = "operations.upload.user.concurrent";
  permits.operation = "upload";
  permits.rule = Concurrency(3);
  permits.mode = Mode::shadow;
  permits.per_user = true;
  permits.capacity = 3;
  permits.used = 5;
  permits.users = 2;
  snapshot.limits = {rate, permits};
  OperationStatus operation;
  operation.name = "upload";
  operation.admitted = 8;
  operation.shed = 2;
  operation.succeeded = 5;
  operation.timed = 6;
  operation.time = std::chrono::milliseconds(1500);
  operation.within.fill(4);
  operation.within[0] = 1;
  operation.wait_time = std::chrono::seconds(2);
  snapshot.operations = {operation};
  BreakerStatus breaker;
  breaker.operation = "upload";
  breaker.state = BreakerState::half_open;
  snapshot.breakers = {breaker};
  return snapshot;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Calls visit(list) for every list that metrics are made of.
template <class Visit>
void for_each_list(Visit&& visit) {
  for_each_metric_list(Snapshot(), [&](const auto& list, const auto&) { visit(list); });
}

TEST(Metrics, KeepTheRulesForNames) {
  std::map<std::string_view, FieldKind> kinds;
  for_each_list([&]<class Row>(const FieldList<Row>& list) {
    std::string_view before;
    std::set<std::string_view> named;
    for (const Field<Row>& field : list.fields) {
      const Metric& metric = field.metric;
      if (metric.name.empty()) continue;
      SCOPED_TRACE(metric.name);
      EXPECT_TRUE(std::regex_match(std::string(metric.name), std::regex("[a-z]+(_[a-z]+)*")));
      const bool histogram = std::holds_alternative<Histogram>(field.get(Row()));
      EXPECT_EQ(metric.name.ends_with("_total"), field.kind == FieldKind::counter && !histogram);
      if (field.unit == Unit::seconds) {
        EXPECT_THAT(std::string(metric.name), HasSubstr("_seconds"));
      }
      EXPECT_TRUE(kinds.emplace(metric.name, field.kind).first->second == field.kind) << "two kinds";
      if (metric.name != before) {
        EXPECT_TRUE(named.insert(metric.name).second) << "fields of one metric stand together";
        const std::string help(metric.help.empty() ? field.help : metric.help);
        EXPECT_EQ(help.find_first_of("\"\\\n"), help.npos);
        EXPECT_TRUE(help.ends_with('.')) << help;
      } else {
        EXPECT_TRUE(metric.help.empty()) << "it has the help of the first field";
        EXPECT_FALSE(metric.labels.empty()) << "two fields, one series";
      }
      before = metric.name;
    }
  });
}

// A series would remain of each of them, and there is no bound to their number.
TEST(Metrics, NeitherAUserNorAProcessIsALabel) {
  for_each_list([]<class Row>(const FieldList<Row>& list) {
    if (list.labels == nullptr) return;
    for (const auto& [name, value] : list.labels(Row())) {
      for (const std::string_view never : {"user", "pid", "slot", "worker", "program"})
        EXPECT_NE(name, never);
    }
  });
}

TEST(Metrics, AreWrittenInTheTextFormat) {
  const std::string text = to_prometheus(two_limits()).value();
  EXPECT_THAT(
      text,
      HasSubstr(R"(# HELP weir_limit_available How much of the capacity of a limit over all users is left.
# TYPE weir_limit_available gauge
weir_limit_available{limit="operations.upload.rate",operation="upload",kind="rate"} 6
)"));
  EXPECT_THAT(text, HasSubstr(R"(
# TYPE weir_limit_capacity gauge
weir_limit_capacity{limit="operations.upload.rate",operation="upload",kind="rate"} 10
weir_limit_capacity{limit="operations.upload.user.concurrent",operation="upload",kind="permits"} 3
)"));
  EXPECT_THAT(text, HasSubstr(R"(weir_limit_permits_in_use{limit="operations.upload.user.concurrent",)"
                              R"(operation="upload",kind="permits"} 5)"));
  EXPECT_THAT(text, HasSubstr(R"(weir_limit_resets_in_seconds{limit="operations.upload.rate",)"
                              R"(operation="upload",kind="rate"} 1.5)"));
  EXPECT_THAT(text, HasSubstr("\n# TYPE weir_shadow_refusals_total counter\n"
                              "weir_shadow_refusals_total{limit=\"operations.upload.user.concurrent\","
                              "operation=\"upload\",kind=\"permits\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_segment_info{version=\"1.2.3\",layout=\"3\",uuid=\"uuid\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_segment_created_timestamp_seconds 1700000000\n"));
  EXPECT_THAT(text, HasSubstr("weir_breaker_state{operation=\"upload\",state=\"closed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_breaker_state{operation=\"upload\",state=\"half_open\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("# EOF")));
}

TEST(Metrics, AnOperationHasEveryVerdictAndOutcomeAndTheTimesOfItsCalls) {
  const std::string text = to_prometheus(two_limits()).value();
  EXPECT_THAT(text, HasSubstr(R"(# HELP weir_requests_total Requests by the verdict on them.
# TYPE weir_requests_total counter
weir_requests_total{operation="upload",verdict="admitted"} 8
weir_requests_total{operation="upload",verdict="throttled"} 0
weir_requests_total{operation="upload",verdict="blocked"} 0
weir_requests_total{operation="upload",verdict="shed"} 2
weir_requests_total{operation="upload",verdict="circuit_open"} 0
weir_requests_total{operation="upload",verdict="never"} 0
)"));
  EXPECT_THAT(text, HasSubstr("weir_calls_total{operation=\"upload\",outcome=\"success\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("weir_wait_seconds_total{operation=\"upload\"} 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("weir_last_request_timestamp_seconds{"))) << "there was none";
  EXPECT_THAT(text, HasSubstr(R"(
# TYPE weir_call_duration_seconds histogram
weir_call_duration_seconds_bucket{operation="upload",le="0.000131072"} 1
weir_call_duration_seconds_bucket{operation="upload",le="0.000262144"} 4
)"));
  EXPECT_THAT(text, HasSubstr(R"(
weir_call_duration_seconds_bucket{operation="upload",le="68.719476736"} 4
weir_call_duration_seconds_bucket{operation="upload",le="+Inf"} 6
weir_call_duration_seconds_sum{operation="upload"} 1.5
weir_call_duration_seconds_count{operation="upload"} 6
)"));
}

TEST(Metrics, AreWrittenInOpenMetricsWithUnitsAndAnEnd) {
  const std::string text = to_open_metrics(two_limits()).value();
  EXPECT_THAT(text, HasSubstr("\n# TYPE weir_live_changes counter\nweir_live_changes_total 0\n"));
  EXPECT_THAT(text, HasSubstr("\n# UNIT weir_segment_bytes bytes\nweir_segment_bytes 4096\n"));
  EXPECT_THAT(text, HasSubstr("\n# UNIT weir_limit_resets_in_seconds seconds\n"));
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

TEST(Metrics, EachNameHasItsSeriesTogetherAndNoSeriesTwice) {
  Snapshot other = two_limits();
  other.segment = "other";
  other.limits.push_back(other.limits[0]);  // as in a damaged segment
  const std::vector<Snapshot> both{two_limits(), other};
  const std::string text = to_metrics(both, MetricsFormat::prometheus).value();
  std::set<std::string> names;
  std::set<std::string> series;
  std::string current;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(names.insert(current).second) << line;
    } else if (!line.starts_with("#")) {
      const std::string name = line.substr(0, line.find_first_of("{ "));
      EXPECT_TRUE(name == current || (current == "weir_call_duration_seconds" && name.starts_with(current)))
          << line;
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
      EXPECT_THAT(line, HasSubstr("{segment=\""));
    }
  }
  EXPECT_THAT(text, HasSubstr("weir_segment_bytes{segment=\"captions\"} 4096\n"
                              "weir_segment_bytes{segment=\"other\"} 4096\n"));
}

// Names in a segment are whatever its writer put there.
TEST(Metrics, ANameInAnyBytesIsAValidLabelOfItsOwn) {
  Snapshot snapshot = two_limits();
  snapshot.breakers.resize(3, snapshot.breakers[0]);
  snapshot.breakers[0].operation = "a\"b\\c\nd";
  snapshot.breakers[1].operation = "\xff";
  snapshot.breakers[2].operation = "\xfe";
  const std::string text = to_prometheus(snapshot).value();
  EXPECT_THAT(text, HasSubstr("weir_breaker_probes_out{operation=\"a\\\"b\\\\c\\\\x0ad\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_breaker_probes_out{operation=\"\\\\xff\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_breaker_probes_out{operation=\"\\\\xfe\"} 0\n"));
}

TEST(Metrics, OfASegmentWithAllKindsOfLimitsHaveEverySeriesFromTheBeginning) {
  auto limiter = Limiter::open_private(parse_config(R"(
[segment]
users = 1000
[operations.upload]
rate = "7/h burst 3"
window = "10 per 90s"
concurrent = 3
queue = 10
cooldown = { for = "1500ms", refusals = 3 }
breaker = { failures = 3, recovery = "30s" }
user.rate = "4/hour"
)",
                                                    "test")
                                           .value());
  ASSERT_TRUE(limiter);
  limiter->admit("upload").succeed();
  const std::string text = limiter->snapshot().and_then(to_prometheus).value();
  for_each_list([&](const auto& list) {
    for (const auto& field : list.fields) {
      if (field.metric.name.empty() || field.metric.name == "shadow_refusals_total") continue;
      EXPECT_THAT(text, HasSubstr("\n# TYPE weir_" + std::string(field.metric.name) + " "));
    }
  });
}

}  // namespace
}  // namespace weir

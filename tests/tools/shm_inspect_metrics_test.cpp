// SPDX-License-Identifier: Apache-2.0

// `shm-inspect metrics`, and what the tools of Prometheus say of it.

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

#include "support/process.hpp"
#include "support/segment_name.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using test::Ran;
using testing::HasSubstr;
using testing::Not;

class ShmInspectMetrics : public ShmInspect {
 protected:
  ShmInspectMetrics() {
    static_cast<void>(limiter_.admit("upload", {.user = "alice"}));
    static_cast<void>(limiter_.admit("upload", {.user = "alice"}));
  }

  [[nodiscard]] static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Limiter limiter_ = open();
};

TEST_F(ShmInspectMetrics, ShowsASegmentInTheTextFormat) {
  const Ran ran = on_segment({"metrics"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\n# TYPE weir_workers gauge\nweir_workers{state=\"alive\"} 1\n"));
  EXPECT_THAT(
      ran.out,
      HasSubstr(
          "weir_limit_available{limit=\"operations.upload.rate\",operation=\"upload\",kind=\"rate\"} 1\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("alice")));
}

TEST_F(ShmInspectMetrics, PromtoolFindsNothingToSay) {
  const Ran metrics = on_segment({"metrics"});
  const Ran checked = test::run({"promtool", "check", "metrics"}, metrics.out);
  if (checked.status == 127) GTEST_SKIP() << "promtool is missing; Debian: prometheus";
  EXPECT_EQ(checked.status, 0);
  EXPECT_EQ(checked.out + checked.err, "");

  const Ran wrong = test::run({"promtool", "check", "metrics"}, metrics.out + "weir_workers 1\nno\n");
  EXPECT_NE(wrong.status, 0) << "it would say nothing anyway";
}

TEST_F(ShmInspectMetrics, TheParserOfPrometheusClientReadsTheOpenMetrics) {
  const std::string parse =
      "import sys\n"
      "from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n"
      "print(sum(len(family.samples) for family in parse(sys.stdin.read())))\n";
  // Debian's, whatever python3 is found along PATH.
  const std::string python = "/usr/bin/python3";
  if (test::run({python, "-c", "import prometheus_client"}).status != 0)
    GTEST_SKIP() << "prometheus_client is missing; Debian: python3-prometheus-client";
  const Ran metrics = on_segment({"metrics", "--openmetrics"});
  EXPECT_EQ(metrics.status, 0) << metrics.err;
  const Ran parsed = test::run({python, "-c", parse}, metrics.out);
  EXPECT_EQ(parsed.status, 0) << parsed.err;
  EXPECT_GT(std::stoi("0" + parsed.out), 20) << parsed.out;
  EXPECT_NE(test::run({python, "-c", parse}, metrics.out + "more").status, 0) << "it would read anything";
}

TEST_F(ShmInspectMetrics, OfSeveralSegmentsEachSeriesNamesItsOwn) {
  const test::SegmentName other;
  Config config = *parse_config(kConfig, "test");
  config.segment.name = other.str();
  ASSERT_TRUE(Limiter::open(config));
  const Ran both = inspect({"metrics", segment_.str(), other.str(), segment_.str()});
  EXPECT_EQ(both.status, 0) << both.err;
  EXPECT_THAT(both.out, HasSubstr("weir_workers{segment=\"" + segment_.str() + "\",state=\"alive\"} 1\n"));
  EXPECT_THAT(both.out, HasSubstr("weir_live_changes_total{segment=\"" + other.str() + "\"} 0\n"));
  EXPECT_EQ(both.out.find("weir_live_changes_total{segment=\"" + other.str()),
            both.out.rfind("weir_live_changes_total{segment=\"" + other.str()));

  const Ran all = inspect({"metrics", "--all"});  // other tests have segments, too
  EXPECT_THAT(all.out, HasSubstr("weir_live_changes_total{segment=\"" + segment_.str() + "\"} 0\n"));
  EXPECT_THAT(all.out, HasSubstr("weir_live_changes_total{segment=\"" + other.str() + "\"} 0\n"));
  EXPECT_EQ(inspect({"metrics", "--all", other.str()}).status, 2);
}

TEST_F(ShmInspectMetrics, ShowsTheSegmentsThatItCanReadAndSaysWhichItCannot) {
  const Ran ran = inspect({"metrics", segment_.str(), "no-such-segment"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.out, HasSubstr("weir_live_changes_total 0\n"));
  EXPECT_THAT(ran.err, HasSubstr("\"no-such-segment\""));
  EXPECT_EQ(inspect({"metrics", "no-such-segment"}).out, "");
}

TEST_F(ShmInspectMetrics, ReplacesATextfileAsAWhole) {
  const std::string path = write("weir.prom", "old");
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  const Ran ran = on_segment({"metrics", "--textfile", path});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(content(path), testing::StartsWith("# HELP weir_"));
  EXPECT_THAT(content(path), testing::EndsWith("\nweir_late_releases_total 0\n"));
  const auto entries = std::filesystem::directory_iterator(directory_);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "something is left beside it";
}

TEST_F(ShmInspectMetrics, NamesTheTextfileThatItCannotWriteAndLeavesTheOldOne) {
  const std::string path = directory_ + "/there-is-no-such-directory/weir.prom";
  const Ran ran = on_segment({"metrics", "--textfile", path});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr(path + ": No such file or directory"));

  const std::string directory = directory_ + "/directory.prom";
  std::filesystem::create_directory(directory);
  EXPECT_THAT(on_segment({"metrics", "--textfile", directory}).err, HasSubstr(directory));
  const auto entries = std::filesystem::directory_iterator(directory_);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "something is left beside it";

  // A limit on file sizes stops it in the middle.
  const std::string kept = write("weir.prom", "old");
  const Ran cut = test::run({"sh", "-c", "ulimit -f 1; exec \"$@\"", "sh", WEIR_BIN_DIR "/shm-inspect",
                             "metrics", segment_.str(), "--textfile", kept});
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.err, HasSubstr(kept + ": File too large"));
  EXPECT_EQ(content(kept), "old");
}

}  // namespace
}  // namespace weir

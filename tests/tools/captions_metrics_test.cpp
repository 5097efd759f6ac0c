// SPDX-License-Identifier: Apache-2.0

// The captions server's /metrics, and a Prometheus that scrapes it.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "captions_server.hpp"

namespace weir::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kMetrics = "/metrics";
const std::string kDashboard = "/api/v14/metrics/dashboard";

/// A Prometheus in a directory of its own that scrapes one server, gone at the end of the test. It takes any free port,
/// and says which in its log.
class Prometheus {
 public:
  explicit Prometheus(const Server& server) {
    if (::mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    std::ofstream(directory_ + "/prometheus.yml") << fmt::format(R"(
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: captions
    authorization: {{credentials: demo-key-alice}}
    static_configs: [{{targets: ['127.0.0.1:{}']}}]
)",
                                                                 server.port());
    std::vector<std::string> argv{"prometheus", "--config.file=" + directory_ + "/prometheus.yml",
                                  "--storage.tsdb.path=" + directory_ + "/data",
                                  "--web.listen-address=127.0.0.1:0"};
    pid_ = fork_child([&] {
      ::dup2(log_.fd(), STDOUT_FILENO);
      ::dup2(log_.fd(), STDERR_FILENO);
      ::execvp(argv[0].c_str(), exec_array(argv).data());
      return 127;
    });
  }
  Prometheus(const Prometheus&) = delete;
  Prometheus& operator=(const Prometheus&) = delete;
  ~Prometheus() {
    ::kill(pid_, SIGKILL);
    wait_for_exit(pid_);
    std::filesystem::remove_all(directory_);
  }

  static bool is_installed() { return run({"prometheus", "--version"}).status == 0; }

  /// The answer to a query, when there is one; null if there is none within a minute.
  [[nodiscard]] Json ask(const std::string& query) {
    Json found;
    eventually([&] {
      if (const auto port = this->port()) found = ask_once(*port, query);
      if (!found.empty()) return true;
      std::this_thread::sleep_for(50ms);  // two processors are shared with what it waits for
      return false;
    });
    return found;
  }
  [[nodiscard]] std::string log() const { return log_.read_all(); }

 private:
  [[nodiscard]] std::optional<std::uint16_t> port() const {
    constexpr std::string_view kSays = "msg=\"Listening on\" address=127.0.0.1:";
    const std::string log = this->log();
    const std::size_t at = log.find(kSays);
    if (at == log.npos || log.find('\n', at) == log.npos) return std::nullopt;
    return static_cast<std::uint16_t>(std::stoi(log.substr(at + kSays.size())));
  }
  static Json ask_once(std::uint16_t port, const std::string& query) {
    std::string escaped;
    for (const char c : query) escaped += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    try {
      const Answer answer = Connection(port).ask("GET", "/api/v1/query?query=" + escaped, "", "");
      if (answer.status == 200) return answer.body.at("data").at("result");
    } catch (const std::exception&) {  // it has not begun to serve
    }
    return {};
  }

  std::string directory_ = testing::TempDir() + "weir-prometheus-XXXXXX";
  MemoryFile log_;
  pid_t pid_ = -1;
};

TEST(CaptionsMetrics, AreInTheTextFormatOfPrometheus) {
  const Server server(kGenerous);
  ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  const Answer answer = get(server, kMetrics);
  EXPECT_EQ(answer.field("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(answer.text, HasSubstr("\n# TYPE weir_workers gauge\nweir_workers{state=\"alive\"} "));
  EXPECT_THAT(answer.text,
              HasSubstr("\nweir_requests_total{operation=\"caption_generation\",verdict=\"admitted\"} 1\n"));
  EXPECT_THAT(answer.text, Not(HasSubstr("alice")));
  EXPECT_EQ(get(server, kMetrics, "").status, 401u) << "as all that it serves, they need a key";
}

TEST(CaptionsMetrics, ADashboardSumsUpWhatAllWorkersServed) {
  const Server server(kGenerous);
  const Json before = get(server, kDashboard).body;
  EXPECT_EQ(before["overall"]["total_requests"], 0);
  EXPECT_EQ(before["overall"]["success_rate"], nullptr);
  EXPECT_EQ(before["alerts"], Json::array());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  ASSERT_EQ(post(server, kGenerate + "?fail=1", kWish, "demo-key-admin").status, 502u);

  const Json body = get(server, kDashboard).body;
  EXPECT_EQ(body["timestamp"].get<std::string>().size(), std::string("2024-01-31T12:00:00Z").size());
  EXPECT_EQ(body["overall"]["total_requests"], 4);
  EXPECT_EQ(body["overall"]["success_rate"], 0.75);
  EXPECT_GT(body["overall"]["average_response_time"], 0.0);
  const Json& generation = body["by_operation"]["caption_generation"];
  EXPECT_EQ(generation["successful_requests"], 3);
  EXPECT_EQ(generation["failed_requests"], 1);
  EXPECT_EQ(generation["error_rate"], 0.25);
  EXPECT_GE(generation["peak_response_time"], body["overall"]["average_response_time"]);
  EXPECT_TRUE(generation["last_request"].is_string());
  EXPECT_EQ(body["by_operation"]["batch_processing"]["total_requests"], 0);
  EXPECT_EQ(body["alerts"], Json::array()) << "four calls say little";
}

TEST(CaptionsMetrics, ADashboardRaisesAnAlertAboveTenPercentErrorsAndForAnOpenBreaker) {
  const Server server(std::string(kGenerous) +
                      "[operations.caption_generation]\nbreaker = { failures = 20, recovery = '1h' }\n");
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(post(server, kGenerate + "?fail=1", kWish, "demo-key-admin").status, 502u);
  EXPECT_EQ(get(server, kDashboard).body["alerts"], Json::parse(R"([
      {"operation": "caption_generation", "type": "error_rate", "value": 1.0},
      {"operation": "caption_generation", "type": "breaker", "value": "open"}])"));
}

TEST(CaptionsMetrics, AreScrapedByPrometheusWhichAnswersForAQuantile) {
  if (!Prometheus::is_installed()) GTEST_SKIP() << "prometheus is missing; Debian: prometheus";
  const Server server(kGenerous);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(post(server, kGenerate + "?slow=1", kWish, "demo-key-admin").status, 200u);
  Prometheus prometheus(server);
  const Json median = prometheus.ask(
      "histogram_quantile(0.5, sum by (operation, le) (weir_call_duration_seconds_bucket)) > 0");
  ASSERT_EQ(median.size(), 1u) << prometheus.log();
  EXPECT_EQ(median[0]["metric"]["operation"], "caption_generation");
  EXPECT_GT(std::stod(median[0]["value"][1].get<std::string>()), 0.25) << "each of them takes half a second";
  const Json workers = prometheus.ask("weir_workers{state='alive'} > 0");
  ASSERT_EQ(workers.size(), 1u) << prometheus.log();
  EXPECT_EQ(workers[0]["metric"]["job"], "captions");
}

}  // namespace
}  // namespace weir::test

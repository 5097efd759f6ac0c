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

inline const std::string kMetrics = "/metrics";

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
  EXPECT_THAT(answer.text, Not(HasSubstr("alice")));
  EXPECT_EQ(get(server, kMetrics, "").status, 401u) << "as all that it serves, they need a key";
}

TEST(CaptionsMetrics, AreScrapedByPrometheus) {
  if (!Prometheus::is_installed()) GTEST_SKIP() << "prometheus is missing; Debian: prometheus";
  const Server server(kGenerous);
  ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  Prometheus prometheus(server);
  const Json workers = prometheus.ask("weir_workers{state='alive'} > 0");
  ASSERT_EQ(workers.size(), 1u) << prometheus.log();
  EXPECT_EQ(workers[0]["metric"]["job"], "captions");
}

}  // namespace
}  // namespace weir::test

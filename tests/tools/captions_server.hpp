// SPDX-License-Identifier: Apache-2.0
#pragma once

// A captions_server for one test, and a client that talks to it as clients do: over a socket, byte by byte.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/limiter.hpp"

#include "support/fork.hpp"
#include "support/process.hpp"

namespace weir::test {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Json = nlohmann::json;
using namespace std::chrono_literals;

inline const std::string kServer = WEIR_BIN_DIR "/captions_server";
inline const std::string kGenerate = "/api/v14/generate";
inline const std::string kPriority = "/api/v14/generate/priority";
inline const std::string kBatch = "/api/v14/batch";
inline const std::string kStatus = "/api/v14/limits/status";
inline const std::string kReset = "/api/v14/limits/reset";

/// So slow that nothing comes back while a test runs.
inline constexpr std::string_view kStrict = R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "3/hour"
[operations.batch_processing.user]
rate = "5/hour"
)";

inline constexpr std::string_view kGenerous = R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "1000000/s"
[operations.batch_processing.user]
rate = "1000000/s"
)";

/// The path under which a child can open a file that has no name.
inline std::string path_of(const MemoryFile& file) {
  return fmt::format("/proc/{}/fd/{}", ::getpid(), file.fd());
}

/// Waits until the condition is true. @return false if that takes longer than a minute.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return false;
}

/// A port on which no process listens.
inline std::uint16_t free_port() {
  asio::io_context io;
  return tcp::acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)).local_endpoint().port();
}

/// How a server is started, if a test needs more than the defaults.
struct Start {
  std::vector<std::string> more{};  ///< arguments
  std::function<void()> prepare{};  ///< called in the child before it becomes the server
  std::uint16_t port = 0;           ///< 0: any, which the server says on its standard output
};

/// A server on a port and a segment of its own, gone at the end of the test.
class Server {
 public:
  explicit Server(std::string_view config, std::vector<std::string> more = {})
      : Server(config, Start{.more = std::move(more)}) {}
  Server(std::string_view config, const Start& start) : config_(config), port_(start.port) {
    std::vector<std::string> argv = {
        kServer, "--port", std::to_string(port_), "--config", path_of(config_), "--segment", segment_};
    const std::vector<std::string>& more = start.more;
    argv.insert(argv.end(), more.begin(), more.end());
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    // Terminated, so that a test that is killed leaves neither a server nor its segment behind.
    pid_ = fork_child([&] { return become(argv, out[1], start.prepare); }, Orphan::terminated);
    ::close(out[1]);
    if (port_ == 0) port_ = read_port(out[0]);
    ::close(out[0]);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    if (pid_ > 0) stop(SIGTERM);
    static_cast<void>(remove_segment(segment_));
  }

  int stop(int signal) {
    ::kill(pid_, signal);
    return wait();
  }
  int wait() { return wait_for_exit(std::exchange(pid_, -1)); }
  void signal(int signal) const { ::kill(pid_, signal); }
  /// Another text for the file of --config.
  void rewrite_config(std::string_view text) const {
    static_cast<void>(::ftruncate(config_.fd(), 0));
    static_cast<void>(::pwrite(config_.fd(), text.data(), text.size(), 0));
  }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] const std::string& segment() const noexcept { return segment_; }
  [[nodiscard]] std::string log() const { return log_.read_all(); }

 private:
  int become(std::vector<std::string>& argv, int out, const std::function<void()>& prepare) const {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(log_.fd(), STDERR_FILENO);
    if (prepare) prepare();
    ::execv(kServer.c_str(), exec_array(argv).data());
    return 127;
  }

  [[nodiscard]] std::uint16_t read_port(int out) const {
    std::string line;
    for (char letter; ::read(out, &letter, 1) == 1 && letter != '\n';) line += letter;
    unsigned port = 0;
    if (std::sscanf(line.c_str(), "listening on 127.0.0.1:%u", &port) != 1) {
      throw std::runtime_error("the server did not start: " + line + log());
    }
    return static_cast<std::uint16_t>(port);
  }

  static inline int count_ = 0;
  std::string segment_ = fmt::format("captions-test-{}-{}", ::getpid(), ++count_);
  MemoryFile config_;
  MemoryFile log_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

struct Answer {
  unsigned status = 0;
  http::fields fields;
  Json body;
  std::string text;  ///< the body as it came

  [[nodiscard]] pid_t worker() const { return static_cast<pid_t>(std::stol(field("X-Worker"))); }
  [[nodiscard]] std::string field(const std::string& name) const { return std::string(fields[name]); }
};

class Connection {
 public:
  /// @param from  the own address, of 127.0.0.0/8.
  explicit Connection(std::uint16_t port, const char* from = "127.0.0.1") : socket_(io_) {
    socket_.open(tcp::v4());
    socket_.bind(tcp::endpoint(asio::ip::make_address(from), 0));
    socket_.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port));
  }

  /// False: the server has closed the connection meanwhile.
  bool send(std::string_view bytes) {
    boost::system::error_code error;
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), error);
    return !error;
  }

  void send_end() {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }

  /// Status 0: the server closed the connection without an answer, or gave none in a minute.
  Answer receive(bool to_head = false) {
    pollfd readable{socket_.native_handle(), POLLIN, 0};
    if (buffer_.size() == 0 && ::poll(&readable, 1, 60'000) != 1) return {};
    http::response_parser<http::string_body> parser;
    parser.skip(to_head);
    boost::system::error_code error;
    http::read(socket_, buffer_, parser, error);
    if (error) return {};
    const auto& response = parser.get();
    return {response.result_int(), response.base(), Json::parse(response.body(), nullptr, false),
            response.body()};
  }

  Answer ask(std::string_view method, const std::string& path, const std::string& body,
             const std::string& key) {
    const std::string bearer = key.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", key);
    send(fmt::format("{} {} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {}\r\n\r\n{}", method, path, bearer,
                     body.size(), body));
    return receive(method == "HEAD");
  }

 private:
  asio::io_context io_;
  tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
};

inline Answer post(const Server& server, const std::string& path, const std::string& body,
                   const std::string& key = "demo-key-alice") {
  return Connection(server.port()).ask("POST", path, body, key);
}

inline Answer get(const Server& server, const std::string& path, const std::string& key = "demo-key-alice") {
  return Connection(server.port()).ask("GET", path, {}, key);
}

inline const std::string kWish = R"({"content_description": "Sunset over the sea", "hashtag_count": 3})";

inline std::string batch_of(int size) {
  Json requests = Json::array();
  for (int i = 0; i < size; ++i) requests.push_back({{"content_description", fmt::format("picture {}", i)}});
  return Json{{"requests", requests}}.dump();
}

inline bool refuses_connections(std::uint16_t port) {
  try {
    Connection connection(port);
    return false;
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::connection_refused;
  }
}

}  // namespace weir::test

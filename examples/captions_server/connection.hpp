// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include <utility>  // asio/awaitable.hpp uses it and does not include it
// clang-format on
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "framing.hpp"
#include "routes.hpp"

namespace captions {

/// One client's connection: reads requests and answers them in their order.
class Connection {
 public:
  /// @param client  whose it is: the user of its requests without a key.
  Connection(boost::asio::ip::tcp::socket socket, std::string client);

  /// Serves the connection to its end. A client that sends nothing or nonsense, or does not read, does not affect
  /// other clients, and is waited for at most 30 s at a time.
  [[nodiscard]] boost::asio::awaitable<void> serve(const Routes& routes);

  /// Tells the client that it is not served, and why.
  [[nodiscard]] boost::asio::awaitable<void> turn_away(const Response& answer);

  /// From now on the answer to the last request that has arrived says that it is the last.
  void close_soon() noexcept { closing_ = true; }
  /// Ends the wait for a request of which nothing has arrived.
  void close_if_idle();

  [[nodiscard]] const std::string& client() const noexcept { return client_; }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  struct Gone {};  ///< the client is gone
  struct Idle {};  ///< close_if_idle(): the client has nothing to be answered
  using Received = std::variant<Request, Fault, Gone, Idle>;

  [[nodiscard]] boost::asio::awaitable<Received> receive();
  [[nodiscard]] boost::asio::awaitable<std::optional<Received>> await_header(HeaderScan& scan);
  [[nodiscard]] boost::asio::awaitable<Received> read_body(Parser& parser);
  /// False: the client is gone.
  [[nodiscard]] boost::asio::awaitable<bool> send(Response& response, const Request& request,
                                                  bool keep_alive);
  [[nodiscard]] boost::asio::awaitable<void> part();
  [[nodiscard]] bool has_more() const;
  [[nodiscard]] std::string_view unread() const noexcept;

  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::string client_;
  bool idle_ = false;
  bool closing_ = false;
};

}  // namespace captions

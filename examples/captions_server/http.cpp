#include "http.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <string>
#include <unistd.h>
#include <utility>

namespace captions {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Parser = http::request_parser<http::string_body>;
using namespace std::chrono_literals;

constexpr std::uint32_t kHeaderLimit = 16 * 1024;
constexpr std::uint64_t kBodyLimit = 1024 * 1024;
constexpr auto kPatience = 30s;       // for the next request of a connection, and for taking an answer
constexpr auto kLinger = 5s;          // for a client to read the last answer
constexpr auto kAcceptPause = 100ms;  // when the process has no descriptor left

auto yielding(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

/// Reads one request. Who asked for "100 Continue" gets it before the body, unless the header is refused.
asio::awaitable<error_code> receive(beast::tcp_stream& stream, beast::flat_buffer& buffer, Parser& parser) {
  parser.header_limit(kHeaderLimit);
  parser.body_limit(kBodyLimit);
  stream.expires_after(kPatience);
  error_code error;
  co_await http::async_read_header(stream, buffer, parser, yielding(error));
  if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    co_await http::async_write(stream, go_on, yielding(error));
  }
  if (!error) co_await http::async_read(stream, buffer, parser, yielding(error));
  co_return error;
}

/// The client is gone or silent, so there is nobody to answer. Anything else is a fault in what it sent.
bool is_gone(error_code error) {
  const error_code end = http::error::end_of_stream;
  return error && (error == end || error.category() != end.category());
}

Response complain(error_code error) {
  if (error == http::error::body_limit) {
    return answer_error(http::status::payload_too_large, "too_large", "the body is larger than 1 MiB");
  }
  if (error == http::error::header_limit) {
    return answer_error(http::status::request_header_fields_too_large, "too_large",
                        "the header is larger than 16 KiB");
  }
  return answer_error(http::status::bad_request, "malformed_http", "this is not HTTP: " + error.message());
}

Response answer(const Routes& routes, const Request& request) noexcept try {
  return routes.answer(request);
} catch (const std::exception&) {
  return Response(http::status::internal_server_error, 11);
}

void finish(Response& response, const Request& request, bool keep_alive) {
  response.version(request.version() == 10 ? 10 : 11);
  response.set(http::field::server, "captions_server");
  response.set("X-Worker", std::to_string(::getpid()));
  response.keep_alive(keep_alive);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();  // its length is told, nothing follows
}

/// Closes our half and reads on for a moment: closing with input unread would reset the connection, and
/// take the answer from a client that is still sending.
asio::awaitable<void> part(beast::tcp_stream& stream) {
  error_code error;
  stream.socket().shutdown(tcp::socket::shutdown_send, error);
  stream.expires_after(kLinger);
  std::array<char, 4096> unread;
  while (!error) co_await stream.async_read_some(asio::buffer(unread), yielding(error));
}

asio::awaitable<void> converse(beast::tcp_stream stream, const Routes& routes) {
  beast::flat_buffer buffer;
  for (bool open = true; open;) {
    Parser parser;
    error_code error = co_await receive(stream, buffer, parser);
    if (is_gone(error)) co_return;

    open = !error && parser.get().keep_alive();
    Response response = error ? complain(error) : answer(routes, parser.get());
    finish(response, parser.get(), open);
    stream.expires_after(kPatience);
    co_await http::async_write(stream, response, yielding(error));
    if (is_gone(error)) co_return;
  }
  co_await part(stream);
}

asio::awaitable<void> accept_all(tcp::acceptor& acceptor, const Routes& routes) {
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    error_code error;
    tcp::socket socket = co_await acceptor.async_accept(yielding(error));
    if (!error) {
      co_spawn(acceptor.get_executor(), converse(beast::tcp_stream(std::move(socket)), routes),
               asio::detached);
      continue;
    }
    pause.expires_after(kAcceptPause);
    co_await pause.async_wait(yielding(error));
  }
}

}  // namespace

void serve_http(tcp protocol, int listener, const Routes& routes) {
  asio::io_context io(1);
  asio::signal_set stop(io, SIGTERM);
  stop.async_wait([&io](error_code, int) { io.stop(); });
  tcp::acceptor acceptor(io, protocol, listener);
  co_spawn(io, accept_all(acceptor, routes), asio::detached);
  io.run();
}

}  // namespace captions

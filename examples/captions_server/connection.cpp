// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <unistd.h>
#include <utility>

namespace captions {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kBufferLimit = 64UL * 1024;  // a header, a chunk's size line, or the trailer
constexpr std::size_t kReadSize = 4096;
constexpr auto kPatience = 30s;  // for a request to begin, for the whole of it, and for taking an answer
constexpr auto kLinger = 5s;     // for a client to read the last answer
constexpr auto kShortLinger = 1s;

auto yielding(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

/// Whether the client has gone or fallen silent, so that no answer would reach it. Any other error means that what it sent is wrong.
bool is_gone(error_code error) {
  const error_code end = http::error::end_of_stream;
  return error && (error == end || error.category() != end.category());
}

Fault complain(error_code error) {
  if (error == http::error::body_limit) {
    return {http::status::payload_too_large, "too_large", "the body is larger than 1 MiB"};
  }
  if (error == http::error::header_limit) {
    return {http::status::request_header_fields_too_large, "too_large", "the header is larger than 16 KiB"};
  }
  return malformed("this is not HTTP: " + error.message());
}

asio::awaitable<Response> answer(const Routes& routes, const Request& request, std::string_view client) {
  try {
    co_return co_await routes.answer(request, client);
  } catch (const std::exception&) {
    co_return Response(http::status::internal_server_error, 11);
  }
}

void finish(Response& response, const Request& request, bool keep_alive) {
  response.version(request.version() == 10 ? 10 : 11);
  response.set(http::field::server, "captions_server");
  response.set("X-Worker", std::to_string(::getpid()));
  response.keep_alive(keep_alive);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();  // its length is told, nothing follows
}

/// Whether the client waits to be asked for the body. HTTP/1.0 does not know the question.
bool awaits_go_on(const Request& request) {
  return request.version() == 11 && beast::iequals(request[http::field::expect], "100-continue");
}

}  // namespace

Connection::Connection(tcp::socket socket, std::string client)
    : stream_(std::move(socket)), buffer_(kBufferLimit), client_(std::move(client)) {}

asio::awaitable<void> Connection::serve(const Routes& routes) {
  for (bool open = true; open;) {
    Received received = co_await receive();
    if (std::holds_alternative<Gone>(received)) co_return;
    if (std::holds_alternative<Idle>(received)) break;
    if (const Fault* const fault = std::get_if<Fault>(&received)) {
      Response response = answer_error(fault->status, fault->code, fault->message);
      if (!co_await send(response, {}, false)) co_return;
      break;
    }
    const Request& request = std::get<Request>(received);
    Response response = co_await answer(routes, request, client_);
    open = request.keep_alive() && (!closing_ || has_more());
    if (!co_await send(response, request, open)) co_return;
  }
  co_await part();
}

asio::awaitable<void> Connection::turn_away(const Response& answer) {
  closing_ = true;  // a short linger is enough
  Response response = answer;
  if (co_await send(response, {}, false)) co_await part();
}

void Connection::close_if_idle() {
  if (idle_) stream_.cancel();
}

/// Reads one request. The fields behind a chunked body are dropped: they were not there when the header was
/// checked, and may not change what it said.
asio::awaitable<Connection::Received> Connection::receive() {
  HeaderScan scan;
  if (auto ended = co_await await_header(scan)) co_return *std::move(ended);

  Parser parser;
  parser.header_limit(kHeaderLimit);
  parser.body_limit(kBodyLimit);
  error_code error;
  buffer_.consume(parser.put(asio::buffer(unread().data(), scan.size()), error));
  if (error) co_return complain(error);
  if (auto fault = check_header(parser.get())) co_return *std::move(fault);
  if (parser.is_done()) co_return parser.release();
  co_return co_await read_body(parser);
}

/// Waits until the end of a header is in the buffer; nothing: it is.
asio::awaitable<std::optional<Connection::Received>> Connection::await_header(HeaderScan& scan) {
  error_code error;
  stream_.expires_after(kPatience);
  for (;;) {
    if (auto fault = scan.look(unread())) co_return *std::move(fault);
    if (scan.size() != 0) co_return std::nullopt;
    const bool first = buffer_.size() == 0;
    idle_ = first;
    const std::size_t got = co_await stream_.async_read_some(buffer_.prepare(kReadSize), yielding(error));
    idle_ = false;
    buffer_.commit(got);
    if (error && first) {
      co_return error == asio::error::operation_aborted ? Received(Idle()) : Received(Gone());
    }
    if (error == asio::error::eof) co_return malformed("the request ends within its header");
    if (error) co_return Gone();
    if (first) stream_.expires_after(kPatience);
  }
}

asio::awaitable<Connection::Received> Connection::read_body(Parser& parser) {
  error_code error;
  if (awaits_go_on(parser.get()) && buffer_.size() == 0) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    co_await http::async_write(stream_, go_on, yielding(error));
    if (error) co_return Gone();
  }
  const http::fields fields = parser.get().base();
  co_await http::async_read(stream_, buffer_, parser, yielding(error));
  if (is_gone(error)) co_return Gone();
  if (error) co_return complain(error);
  Request request = parser.release();
  static_cast<http::fields&>(request.base()) = fields;
  co_return request;
}

asio::awaitable<bool> Connection::send(Response& response, const Request& request, bool keep_alive) {
  error_code error;
  finish(response, request, keep_alive);
  stream_.expires_after(kPatience);
  co_await http::async_write(stream_, response, yielding(error));
  co_return !is_gone(error);
}

/// Closes our half and reads on for a moment: closing with input unread would reset the connection, and
/// take the answer from a client that is still sending.
asio::awaitable<void> Connection::part() {
  error_code error;
  stream_.socket().shutdown(tcp::socket::shutdown_send, error);
  stream_.expires_after(closing_ ? kShortLinger : kLinger);
  std::array<char, kReadSize> ignored;
  while (!error) co_await stream_.async_read_some(asio::buffer(ignored), yielding(error));
}

/// Whether at least a part of another request has arrived.
bool Connection::has_more() const {
  error_code error;
  return buffer_.size() != 0 || stream_.socket().available(error) != 0;
}

std::string_view Connection::unread() const noexcept {
  const auto bytes = buffer_.data();
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace captions

// SPDX-License-Identifier: Apache-2.0
#include "http.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <list>
#include <string>
#include <utility>

#include "weir/client_key.hpp"

#include "client_shares.hpp"
#include "connection.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr auto kAcceptPause = 100ms;  // the pause after accept() failed for lack of a descriptor
constexpr auto kIdleGrace = 500ms;    // how long a request may still arrive after closing has begun
constexpr int kMostRefusals = 32;     // how many clients at a time are told why they are not served

auto yielding(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

/// One worker: its listening socket and its connections.
///
/// On SIGTERM it takes what already waits in the queue of the listening socket, closes that, and lets every
/// connection answer what has arrived. Connections without a request are kept for a moment, because the
/// next request may be on its way, and then closed; what is unfinished after kDrainSeconds is given up.
class Worker {
 public:
  Worker(tcp protocol, int listener, const Room& room, const Routes& routes)
      : room_(room),
        routes_(routes),
        shares_(room.per_client),
        acceptor_(io_, protocol, listener),
        free_place_(io_),
        pause_(io_) {
    acceptor_.non_blocking(true);
  }

  void run() {
    asio::signal_set stop(io_, SIGTERM);
    stop.async_wait([this](error_code, int) { co_spawn(io_, drain(), asio::detached); });
    co_spawn(io_, accept_all(), asio::detached);
    io_.run();
  }

 private:
  using Place = std::list<Connection>::iterator;

  asio::awaitable<void> accept_all() {
    asio::steady_timer pause(io_);
    while (!closing_) {
      error_code error;
      if (connections_.size() >= room_.connections) {
        free_place_.expires_at(asio::steady_timer::time_point::max());
        co_await free_place_.async_wait(yielding(error));
        continue;
      }
      tcp::socket socket = co_await acceptor_.async_accept(yielding(error));
      if (!error) {
        welcome(std::move(socket));
      } else if (!closing_ && error != asio::error::connection_aborted) {
        pause.expires_after(kAcceptPause);
        co_await pause.async_wait(yielding(error));
      }
    }
  }

  /// Takes a connection in, or turns it away if its client has its share.
  void welcome(tcp::socket socket) {
    error_code error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;  // gone already
    std::string client = weir::client_key(peer.address().to_string(), 32, room_.prefix6);
    if (shares_.take(client)) {
      const Place place = connections_.emplace(connections_.end(), std::move(socket), std::move(client));
      if (closing_) place->close_soon();
      co_spawn(io_, host(place), asio::detached);
    } else if (refusals_ < kMostRefusals) {
      ++refusals_;
      co_spawn(io_, refuse(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> host(Place place) {
    struct Leave {
      Worker& worker;
      Place place;
      ~Leave() { worker.forget(place); }
    } const leave{*this, place};
    co_await place->serve(routes_);
  }

  asio::awaitable<void> refuse(tcp::socket socket) {
    struct Leave {
      int& refusals;
      ~Leave() { --refusals; }
    } const leave{refusals_};
    Connection connection(std::move(socket), {});
    Response answer = answer_error(http::status::too_many_requests, "too_many_connections",
                                   "your address has its share of the connections; close some");
    answer.set(http::field::retry_after, "1");
    co_await connection.turn_away(answer);
  }

  void forget(Place place) {
    shares_.give_back(place->client());
    connections_.erase(place);
    free_place_.cancel();
    if (closing_ && connections_.empty()) io_.stop();
  }

  asio::awaitable<void> drain() {
    closing_ = true;
    for (Connection& connection : connections_) connection.close_soon();
    error_code error;
    acceptor_.cancel(error);
    free_place_.cancel();
    accept_waiting();
    acceptor_.close(error);

    if (!connections_.empty()) {
      pause_.expires_after(kIdleGrace);
      co_await pause_.async_wait(yielding(error));
      for (Connection& connection : connections_) connection.close_if_idle();
      pause_.expires_after(std::chrono::seconds(kDrainSeconds) - kIdleGrace);
      co_await pause_.async_wait(yielding(error));
    }
    io_.stop();
  }

  /// Takes what the kernel has accepted for us: these clients believe that they are connected.
  void accept_waiting() {
    error_code error;
    while (!error && connections_.size() < room_.connections) {
      tcp::socket socket(io_);
      acceptor_.accept(socket, error);
      if (!error) welcome(std::move(socket));
    }
  }

  // These are declared before the context, because its destructor ends the coroutines, which take their connections
  // out of these.
  Room room_;
  const Routes& routes_;
  ClientShares shares_;
  std::list<Connection> connections_;
  int refusals_ = 0;
  bool closing_ = false;

  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer free_place_;
  asio::steady_timer pause_;
};

}  // namespace

void serve_http(tcp protocol, int listener, const Room& room, const Routes& routes) {
  Worker(protocol, listener, room, routes).run();
}

}  // namespace captions

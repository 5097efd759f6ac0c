// An HTTP service with rate limits that all its worker processes keep together.
//
// The parent opens the limiter and the listening socket, then forks: every worker has both. A worker that is
// killed leaves the limits as they are, and the one that follows it goes on with them.

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <string>
#include <utility>

#include "weir/weir.hpp"

#include "api_keys.hpp"
#include "http.hpp"
#include "prefork.hpp"
#include "routes.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

struct Options {
  std::string config;
  std::string segment;
  std::string keys;
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;
  int workers = 4;
};

/// A bound socket for all workers; the process that made it needs no io_context for it any more.
struct Listener {
  tcp::endpoint endpoint;
  int descriptor;
};

weir::Result<Listener> listen(const Options& options) try {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::make_address(options.address), options.port));
  acceptor.non_blocking(true);
  const tcp::endpoint endpoint = acceptor.local_endpoint();
  return Listener{endpoint, acceptor.release()};
} catch (const boost::system::system_error& error) {
  return weir::Error{
      weir::Errc::system,
      fmt::format("cannot listen on {} port {}: {}", options.address, options.port, error.code().message()),
      "choose another --address or --port"};
}

weir::Result<weir::Config> read_config(const Options& options) {
  auto config = options.config.empty() ? weir::load_builtin_config() : weir::load_config(options.config);
  if (config && !options.segment.empty()) config->segment.name = options.segment;
  return config;
}

weir::Result<void> run(const Options& options) {
  const auto config = read_config(options);
  if (!config) return config.error();
  auto keys = options.keys.empty() ? ApiKeys::demo() : ApiKeys::load(options.keys);
  if (!keys) return keys.error();
  const auto listener = listen(options);
  if (!listener) return listener.error();
  auto limiter = weir::Limiter::open(*config);
  if (!limiter) return limiter.error();
  const auto routes = Routes::create(*limiter, *std::move(keys));
  if (!routes) return routes.error();

  // Flushed, or every child would write it once more.
  std::cout << "listening on " << listener->endpoint << std::endl;
  run_preforked(options.workers,
                [&] { serve_http(listener->endpoint.protocol(), listener->descriptor, *routes); });
  return {};
}

void describe(CLI::App& app, Options& options) {
  app.add_option("--config", options.config, "TOML file of the limits; without it the built-in ones hold");
  app.add_option("--segment", options.segment, "name of the shared segment, instead of the configured one");
  app.add_option("--keys", options.keys, "file with lines of `key user`; without it the demo keys hold");
  app.add_option("--address", options.address, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port to listen on; 0: any that is free")->capture_default_str();
  app.add_option("--workers", options.workers, "processes that answer")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
}

int start(int argc, char** argv) {
  CLI::App app("An HTTP service whose worker processes keep their rate limits together.", "captions_server");
  Options options;
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto done = run(options);
  if (!done) fmt::print(stderr, "captions_server: {}\n", done.error().message());
  return done ? 0 : 1;
}

}  // namespace
}  // namespace captions

int main(int argc, char** argv) try {
  return captions::start(argc, argv);
} catch (const std::exception& error) {
  fmt::print(stderr, "captions_server: {}\n", error.what());
  return 1;
}

// SPDX-License-Identifier: Apache-2.0

// An HTTP service with rate limits that all its worker processes keep together.
//
// The parent opens the limiter and the listening socket, then forks: every worker has both. A worker that is
// killed leaves the limits as they are, and the one that follows it goes on with them. SIGHUP reads the
// limits again; SIGTERM lets every worker answer what has arrived.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fmt/format.h>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include "weir/weir.hpp"

#include "api_keys.hpp"
#include "batches.hpp"
#include "http.hpp"
#include "prefork.hpp"
#include "reload.hpp"
#include "routes.hpp"
#include "stdio.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// How long the batches of a worker may take once it serves no client any more.
constexpr std::chrono::seconds kBatchGrace(10);

struct Options {
  std::string config;
  std::string segment;
  std::string keys;
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;
  int workers = 4;
  bool anonymous = false;
  BatchOptions batches;
  Room room{.per_client = 0};
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

/// What the process has descriptors for, and of that a quarter for one client unless it is given.
Room fit(Room room) {
  constexpr std::size_t kOtherDescriptors = 64;  // of the segment, the event loop, a refusal, a status
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
    const std::size_t most =
        files.rlim_cur > 2 * kOtherDescriptors ? files.rlim_cur - kOtherDescriptors : kOtherDescriptors;
    room.connections = std::min(room.connections, most);
  }
  if (room.per_client == 0) room.per_client = std::max<std::size_t>(room.connections / 4, 1);
  return room;
}

weir::Result<void> run(const Options& options) {
  hold_signals();
  const auto config = load_limits(options.config, options.segment);
  if (!config) return config.error();
  auto keys = options.keys.empty() ? ApiKeys::demo() : ApiKeys::load(options.keys);
  if (!keys) return keys.error();
  const auto listener = listen(options);
  if (!listener) return listener.error();
  auto limiter = weir::Limiter::open(*config);
  if (!limiter) return limiter.error();
  const auto batch = limiter->operation(kBatch);
  if (!batch) return batch.error();
  auto results =
      BatchResults::create(options.batches.results, std::chrono::seconds(options.batches.kept_seconds));
  if (!results) return results.error();
  Batches batches(*limiter, *batch, options.batches, *std::move(results));
  const auto routes = Routes::create(*limiter, *std::move(keys), options.anonymous, batches);
  if (!routes) return routes.error();

  std::ostringstream endpoint;
  endpoint << listener->endpoint;
  announce("listening on " + endpoint.str());
  const Room room = fit(options.room);
  run_preforked({
      .workers = options.workers,
      .work =
          [&] {
            batches.start();
            serve_http(listener->endpoint.protocol(), listener->descriptor, room, *routes);
            batches.drain(kBatchGrace);
          },
      .died = [&](pid_t worker) { batches.results().fail_all_of(worker); },
      .reload = [&] { reload_limits(options.config, config->segment.name); },
      // The socket goes when the last process closes it, so new clients are refused instead of kept waiting.
      .stop = [&] { ::close(listener->descriptor); },
      .grace = std::chrono::seconds(kDrainSeconds + 2) + kBatchGrace,
  });
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
  app.add_option("--connections", options.room.connections, "connections of a worker, at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--connections-per-client", options.room.per_client,
                 "of these, for one client address; without it a quarter")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--ipv6-prefix", options.room.prefix6,
                 "IPv6 addresses that begin with the same bits are one client")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  app.add_option("--batch-threads", options.batches.pool.threads,
                 "threads of a worker for batches; 0: as many as the limits let run at a time")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--batch-queue", options.batches.pool.queue,
                 "batches of a worker that wait for a thread, at most")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  app.add_option("--batch-results", options.batches.results,
                 "results of batches that are kept to be fetched, at most; a quarter of them for one user")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--batch-kept", options.batches.kept_seconds, "seconds for which they are kept")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  app.add_flag("--anonymous", options.anonymous,
               "serve requests without a key, too; their user is the client's address");
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
  if (!done) say(done.error().message());
  return done ? 0 : 1;
}

}  // namespace
}  // namespace captions

int main(int argc, char** argv) try {
  captions::secure_standard_descriptors();
  weir::set_log(captions::say);
  return captions::start(argc, argv);
} catch (const std::exception& error) {
  captions::say(error.what());
  return 1;
}

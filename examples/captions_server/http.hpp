#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "routes.hpp"

namespace captions {

/// Answers HTTP on a listening socket, which may be shared with other processes, until SIGTERM arrives.
/// One thread; a client that sends nothing, or nonsense, costs nobody else anything.
void serve_http(boost::asio::ip::tcp protocol, int listener, const Routes& routes);

}  // namespace captions

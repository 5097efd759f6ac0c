// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>

#include "routes.hpp"

namespace captions {

/// What one worker has room for.
struct Room {
  std::size_t connections = 1000;
  std::size_t per_client = 250;  ///< of these, for one client address
  unsigned prefix6 = 64;         ///< IPv6 addresses with the same first bits are one client
};

/// Answers HTTP on a listening socket, which may be shared with other processes, until SIGTERM arrives. Then
/// it accepts no more, answers what has arrived, and returns after a few seconds at most. One thread.
void serve_http(boost::asio::ip::tcp protocol, int listener, const Room& room, const Routes& routes);

/// How long serve_http() goes on at most after SIGTERM, unless a route takes longer.
inline constexpr int kDrainSeconds = 5;

}  // namespace captions

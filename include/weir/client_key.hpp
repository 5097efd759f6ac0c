// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// Returns the key under which all addresses of one client are limited together, for Request::user.
///
/// An IPv6 client owns at least a /64, which is 2^64 addresses, so a limit for each address would not limit
/// it. The default therefore groups IPv6 addresses by /64 and keeps IPv4 addresses apart.
///
///   client_key("192.0.2.7")               "192.0.2.7"
///   client_key("192.0.2.7", 24)           "192.0.2.0/24"
///   client_key("2001:DB8::7:0:0:1")       "2001:db8::/64"
///   client_key("::ffff:192.0.2.7")        "192.0.2.7": what a dual-stack socket shows of an IPv4 client
///   client_key("[2001:db8::1]:443")       "2001:db8::/64": a port and a zone ("%eth0") do not count
///   client_key("unix:")                   "unix:": what is not an address stays as it is
///
/// @param prefix4, prefix6  how many leading bits count; above 32 and 128 all of them do.
///
/// Cost  No allocation for IPv4; one if the key is longer than a std::string holds in place.
[[nodiscard]] WEIR_EXPORT std::string client_key(std::string_view address, unsigned prefix4 = 32,
                                                 unsigned prefix6 = 64);

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Decides where a request ends, so strictly that no proxy in front of the server can decide it otherwise.
//
// A proxy and a server that disagree about the end of a request let a client smuggle a second one past the
// proxy. So everything that two readers could understand differently is refused, and the connection is closed
// (RFC 9112, sections 2.2, 3.2, 5, 6 and 11.2). Boost.Beast parses; these checks come before and after it.

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace captions {

inline constexpr std::size_t kHeaderLimit = 16UL * 1024;
inline constexpr std::size_t kBodyLimit = 1024UL * 1024;

/// Why a request is refused before the server looks at what it asks for.
struct Fault {
  boost::beast::http::status status;
  std::string_view code;
  std::string message;
};

[[nodiscard]] Fault malformed(std::string message);

/// Looks for the end of a header in bytes that arrive one after the other; each byte is looked at once.
class HeaderScan {
 public:
  /// @param bytes  all that has arrived of this header, and perhaps what follows it.
  /// @return       a byte that no header may contain, or a header that is too large.
  [[nodiscard]] std::optional<Fault> look(std::string_view bytes);

  /// The length of the header with its empty line; 0: its end has not arrived.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::size_t seen_ = 0;
  std::size_t size_ = 0;
};

/// Checks the fields that say where the request ends and whom it is for.
[[nodiscard]] std::optional<Fault> check_header(const boost::beast::http::request_header<>& header);

}  // namespace captions

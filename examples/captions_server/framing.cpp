// SPDX-License-Identifier: Apache-2.0
#include "framing.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <utility>

#include "target.hpp"

namespace captions {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Header = http::request_header<>;

bool is_control(char c) noexcept {
  return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
}

std::string_view value_of(const Header& header, http::field name) {
  const beast::string_view value = header[name];
  return {value.data(), value.size()};
}

std::optional<Fault> check_host(const Header& header) {
  const std::size_t hosts = header.count(http::field::host);
  // A request of HTTP/1.0 may come without one.
  if (hosts == 0 && header.version() == 10) return std::nullopt;
  if (hosts != 1) return malformed("a request has exactly one Host field");
  if (!is_host(value_of(header, http::field::host))) return malformed("the Host field does not name a host");
  return std::nullopt;
}

std::optional<Fault> check_content_length(const Header& header) {
  const std::size_t lengths = header.count(http::field::content_length);
  if (lengths == 0) return std::nullopt;
  const std::string_view value = value_of(header, http::field::content_length);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (lengths == 1 && std::all_of(value.begin(), value.end(), is_digit)) return std::nullopt;
  return malformed("a request has at most one Content-Length, which is one number");
}

bool ends_chunked(std::string_view codings) {
  const std::size_t comma = codings.rfind(',');
  if (comma == std::string_view::npos) return false;
  std::string_view last = codings.substr(comma + 1);
  last.remove_prefix(std::min(last.find_first_not_of(" \t"), last.size()));
  return beast::iequals({last.data(), last.size()}, "chunked");
}

std::optional<Fault> check_transfer_encoding(const Header& header) {
  const std::size_t encodings = header.count(http::field::transfer_encoding);
  if (encodings == 0) return std::nullopt;
  if (header.version() == 10) return malformed("HTTP/1.0 has no Transfer-Encoding");
  if (header.count(http::field::content_length) != 0) {
    return malformed("a request has Content-Length or Transfer-Encoding, not both");
  }
  const std::string_view value = value_of(header, http::field::transfer_encoding);
  if (encodings == 1 && beast::iequals({value.data(), value.size()}, "chunked")) return std::nullopt;
  // With chunked at the end the body could be delimited, but not understood: that is 501, all else is 400.
  if (encodings == 1 && ends_chunked(value)) {
    return Fault{http::status::not_implemented, "unsupported_encoding",
                 "the only Transfer-Encoding that is understood is `chunked`"};
  }
  return malformed("Transfer-Encoding must be exactly `chunked`");
}

std::optional<Fault> check_target(const Header& header) {
  const beast::string_view target = header.target();
  if (parse_target({target.data(), target.size()})) return std::nullopt;
  return malformed("the target of the request is neither a path nor a URL");
}

}  // namespace

Fault malformed(std::string message) {
  return {http::status::bad_request, "malformed_http", std::move(message)};
}

std::optional<Fault> HeaderScan::look(std::string_view bytes) {
  for (; seen_ < bytes.size() && size_ == 0; ++seen_) {
    if (seen_ == kHeaderLimit) {
      return Fault{http::status::request_header_fields_too_large, "too_large",
                   "the header is larger than 16 KiB"};
    }
    const char c = bytes[seen_];
    const std::string_view before = bytes.substr(0, seen_);
    const bool after_return = before.ends_with('\r');
    if (after_return != (c == '\n')) return malformed("CR and LF stand only together, at the end of a line");
    // A space there continues the line before (RFC 9112 5.2), or is one that a reader may have skipped.
    if ((c == ' ' || c == '\t') && (before.empty() || before.ends_with("\r\n"))) {
      return malformed("a line of the header begins with a space");
    }
    if (is_control(c) && c != '\r' && c != '\n') return malformed("the header has a control character");
    if (c == '\n' && before.ends_with("\r\n\r")) size_ = seen_ + 1;
  }
  return std::nullopt;
}

std::optional<Fault> check_header(const Header& header) {
  for (const auto check : {check_transfer_encoding, check_content_length, check_host, check_target}) {
    if (auto fault = check(header)) return fault;
  }
  return std::nullopt;
}

}  // namespace captions

// SPDX-License-Identifier: Apache-2.0
#include "target.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <cstddef>

namespace captions {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_alphanumeric(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// RFC 3986 also allows a comma, but two Host fields that a proxy joined look like that.
bool is_name_char(char c) noexcept {
  return is_alphanumeric(c) || std::string_view("-._~%!$&'()*+;=").find(c) != std::string_view::npos;
}

bool is_address_char(char c) noexcept {
  return is_alphanumeric(c) || c == ':' || c == '.';
}

bool is_port(std::string_view text) noexcept {
  return text.size() <= 5 && std::all_of(text.begin(), text.end(), is_digit);
}

/// The text behind "http://" or "https://"; nothing if it has neither.
std::optional<std::string_view> without_scheme(std::string_view target) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    const std::string_view begin = target.substr(0, scheme.size());
    if (boost::beast::iequals({begin.data(), begin.size()}, {scheme.data(), scheme.size()})) {
      return target.substr(scheme.size());
    }
  }
  return std::nullopt;
}

Target split_query(std::string_view text) noexcept {
  const std::size_t mark = std::min(text.find('?'), text.size());
  return {text.substr(0, mark), mark == text.size() ? std::string_view() : text.substr(mark + 1)};
}

}  // namespace

bool is_host(std::string_view text) noexcept {
  const bool address = !text.empty() && text.front() == '[';
  const std::size_t end = address ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return false;
  const std::string_view name = address ? text.substr(1, end - 1) : text.substr(0, end);
  const std::string_view port = text.substr(address ? end + 1 : end);
  return !name.empty() && std::all_of(name.begin(), name.end(), address ? is_address_char : is_name_char) &&
         (port.empty() || (port.front() == ':' && is_port(port.substr(1))));
}

std::optional<Target> parse_target(std::string_view target) noexcept {
  if (target.empty() || target.find('#') != std::string_view::npos) return std::nullopt;
  const auto absolute = without_scheme(target);
  if (!absolute) return split_query(target);
  const std::size_t end = std::min(absolute->find_first_of("/?"), absolute->size());
  if (!is_host(absolute->substr(0, end))) return std::nullopt;
  Target split = split_query(absolute->substr(end));
  if (split.path.empty()) split.path = "/";
  return split;
}

}  // namespace captions

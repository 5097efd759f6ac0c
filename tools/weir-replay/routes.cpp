// SPDX-License-Identifier: Apache-2.0
#include "routes.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fnmatch.h>

#include "log_line.hpp"
#include "options.hpp"

namespace weir::replay {
namespace {

int hex_value(char c) noexcept {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c | 0x20) : c;
  const std::size_t value = kDigits.find(lower);
  return value == kDigits.npos ? -1 : static_cast<int>(value);
}

}  // namespace

Route parse_route(std::string_view text) {
  const std::size_t equals = text.rfind('=');
  if (equals == text.npos || equals == 0 || equals + 1 == text.size()) {
    throw UsageError(
        fmt::format("--operation-by \"{}\": write PATTERN=OPERATION, as in \"/api/*=search\"", text));
  }
  return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Routes::Routes(std::vector<Route> routes, const std::string& otherwise) : operations_{otherwise} {
  for (Route& route : routes) {
    auto found = std::find(operations_.begin(), operations_.end(), route.operation);
    if (found == operations_.end()) found = operations_.insert(found, route.operation);
    if (route.pattern == "*") has_otherwise_ = false;
    entries_.push_back({std::move(route.pattern), static_cast<Number>(found - operations_.begin())});
  }
}

Routes::Number Routes::operation_of(std::string_view path) const {
  if (entries_.empty()) return 0;
  const std::string plain = plain_path(path);
  for (const Entry& entry : entries_) {
    if (::fnmatch(entry.pattern.c_str(), plain.c_str(), 0) == 0) return entry.operation;
  }
  return 0;
}

std::string plain_path(std::string_view path) {
  const std::string sent = unescaped(path);
  std::string_view rest = sent;
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (const std::size_t scheme = rest.find("://"); !rest.starts_with('/') && scheme != rest.npos) {
    const std::size_t slash = rest.find('/', scheme + 3);
    rest = slash == rest.npos ? std::string_view("/") : rest.substr(slash);
  }
  std::string plain;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const bool encoded =
        rest[i] == '%' && i + 2 < rest.size() && hex_value(rest[i + 1]) >= 0 && hex_value(rest[i + 2]) >= 0;
    plain.push_back(encoded ? static_cast<char>(16 * hex_value(rest[i + 1]) + hex_value(rest[i + 2]))
                            : rest[i]);
    if (encoded) i += 2;
  }
  return plain;
}

}  // namespace weir::replay

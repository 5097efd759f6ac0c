// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace captions {

/// What a request is for.
struct Target {
  std::string_view path;   ///< "/api/v14/generate"
  std::string_view query;  ///< behind the '?'; may be empty
};

/// Whether `text` is one host, as in a Host field or a URL: `name`, `name:port`, `[::1]:port`. Neither a list
/// nor a URL, and without user information.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// Splits the target of a request line: "/path?query", or the absolute form of it that a client sends to a
/// proxy, "http://host/path?query". @return nothing if it is malformed.
[[nodiscard]] std::optional<Target> parse_target(std::string_view target) noexcept;

}  // namespace captions

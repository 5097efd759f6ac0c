// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds the operation of a request by its path.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::replay {

/// A route such as "/api/*=search": requests whose path matches have that operation.
struct Route {
  std::string pattern;  ///< a shell pattern: "*" is any text, slashes included
  std::string operation;
};

/// Throws UsageError if the text lacks a pattern or an operation.
[[nodiscard]] Route parse_route(std::string_view text);

class Routes {
 public:
  using Number = std::uint16_t;  ///< index of an operation in operations()

  /// @param otherwise  the operation of requests that match no route.
  Routes(std::vector<Route> routes, const std::string& otherwise);

  /// The operation of a request: that of the first route that its path matches.
  [[nodiscard]] Number operation_of(std::string_view path) const;

  /// The operations that a request may have, each once; number 0 is the one for requests that match no route.
  [[nodiscard]] const std::vector<std::string>& operations() const noexcept { return operations_; }

  /// Whether there may be requests that match no route.
  [[nodiscard]] bool has_otherwise() const noexcept { return has_otherwise_; }

 private:
  struct Entry {
    std::string pattern;
    Number operation;
  };

  std::vector<Entry> entries_;
  std::vector<std::string> operations_;
  bool has_otherwise_ = true;
};

/// A path as a server understands it: without its query, scheme and host, and with %xx decoded.
[[nodiscard]] std::string plain_path(std::string_view path);

}  // namespace weir::replay

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/failure.hpp"
#include "log_line.hpp"
#include "routes.hpp"

namespace weir::replay {

/// The command line, or a file that it names, does not make sense.
struct UsageError : tools::Failure {
  explicit UsageError(const std::string& message) : Failure(tools::kUsage, message) {}
};

struct Options {
  std::string config;
  std::vector<std::string> logs;
  std::string operation = "http";
  std::vector<Route> routes;
  UserField user;
  std::string user_text = "address";
  unsigned prefix4 = 32;
  unsigned prefix6 = 64;
  bool sort = true;
  std::string decisions;
  unsigned workers = 1;
  bool json = false;
};

/// The options, or the exit status if there is nothing left to do (--help). Throws UsageError.
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace weir::replay

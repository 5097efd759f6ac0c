#pragma once

#include <stdexcept>
#include <string>
#include <variant>

namespace weir::replay {

struct Options {
  std::string config;
  std::string log;  ///< "-": standard input
  std::string operation = "http";
  std::string decisions;  ///< where to write each decision; empty: nowhere
  unsigned workers = 1;
  bool json = false;
};

/// The user asked for something that cannot be; exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What the command line says, or the exit status when help was all it asked for.
/// Throws UsageError.
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace weir::replay

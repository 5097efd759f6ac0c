#pragma once

#include <optional>
#include <string>
#include <variant>

namespace weir::shm_inspect {

enum class Command { create, check, status, workers, reset, reap, remove };

struct Options {
  Command command = Command::status;
  std::optional<std::string> segment;  ///< from --segment or WEIR_SEGMENT
  std::string config;                  ///< a file, or the word "builtin"
  bool json = false;
  std::optional<std::string> operation;
  std::optional<std::string> user;

  [[nodiscard]] std::string segment_or_default() const { return segment.value_or("weir"); }
};

/// The options, or the exit status where there is nothing left to do (--help, --version).
/// Throws Failure on a wrong command line.
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace weir::shm_inspect

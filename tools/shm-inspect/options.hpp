// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "weir/inspect.hpp"

namespace weir::shm_inspect {

enum class Command {
  list,
  create,
  check,
  keys,
  status,
  workers,
  users,
  user,
  set,
  apply,
  rollback,
  history,
  reset,
  reap,
  remove,
  fields
};

struct Options {
  Command command = Command::status;
  std::optional<std::string> segment;  ///< from --segment or WEIR_SEGMENT
  std::string config;                  ///< a file, or the word "builtin"
  bool json = false;
  bool markdown = false;  ///< of fields
  std::optional<std::string> operation;
  std::optional<std::string> user;
  std::string key;    ///< of set
  std::string value;  ///< of set
  bool dry_run = false;
  bool may_add = false;                     ///< set may make an operation
  std::optional<std::uint64_t> generation;  ///< of rollback
  std::size_t top = 20;
  UserOrder by = UserOrder::nearest_limit;

  [[nodiscard]] std::string segment_or_default() const { return segment.value_or("weir"); }
};

/// The options, or the exit status where there is nothing left to do (--help, --version).
/// Throws Failure on a wrong command line.
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace weir::shm_inspect

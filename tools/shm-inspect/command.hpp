// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a command is. A new command is a row in the table of its family, in a file of that family; a new family is a
// file and a line in all_commands().

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/failure.hpp"

namespace weir::shm_inspect {

/// What all commands are told.
struct Common {
  std::optional<std::string> segment;  ///< from --segment or WEIR_SEGMENT

  [[nodiscard]] std::string segment_or_default() const { return segment.value_or("weir"); }
};

/// What a command does when its options have been read. Throws Failure.
using Action = std::function<void(const Common&)>;

struct Command {
  const char* name;
  const char* what;  ///< one sentence of --help, without its full stop
  /// Adds the options of the command to its part of the command line. The action keeps their values.
  Action (*declare)(CLI::App& command);
};

// The families, each in a file of its name.
[[nodiscard]] std::span<const Command> segment_commands();
[[nodiscard]] std::span<const Command> reading_commands();
[[nodiscard]] std::span<const Command> event_commands();
[[nodiscard]] std::span<const Command> recording_commands();
[[nodiscard]] std::span<const Command> changing_commands();
[[nodiscard]] std::span<const Command> reference_commands();

/// All of them, in the order in which --help shows them.
[[nodiscard]] inline std::vector<Command> all_commands() {
  std::vector<Command> all;
  for (const std::span<const Command> family :
       {segment_commands(), reading_commands(), event_commands(), recording_commands(), changing_commands(),
        reference_commands()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

using tools::taken;

}  // namespace weir::shm_inspect

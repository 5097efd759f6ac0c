// SPDX-License-Identifier: Apache-2.0

// The commands that explain keys. They need no segment.

#include <CLI/CLI.hpp>
#include <array>
#include <fmt/format.h>
#include <memory>

#include "weir/config.hpp"

#include "command.hpp"
#include "render.hpp"

namespace weir::shm_inspect {
namespace {

Action keys(CLI::App&) {
  return [](const Common&) { fmt::print("{}", config_reference()); };
}

Action fields(CLI::App& command) {
  const auto markdown = std::make_shared<bool>(false);
  command.add_flag("--markdown", *markdown, "print a page of documentation");
  return
      [markdown](const Common&) { fmt::print("{}", *markdown ? render_fields_markdown() : render_fields()); };
}

constexpr std::array kCommands{
    Command{"keys", "show every key of a configuration with its bounds and its default (Markdown)", keys},
    Command{"fields", "explain every key of --json, for every command", fields},
};

}  // namespace

std::span<const Command> reference_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect

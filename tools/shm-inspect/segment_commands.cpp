// SPDX-License-Identifier: Apache-2.0

// The commands that find, make and remove whole segments.

#include <CLI/CLI.hpp>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "command.hpp"
#include "common/output.hpp"
#include "configured.hpp"
#include "confirmation.hpp"
#include "reading.hpp"
#include "render.hpp"

namespace weir::shm_inspect {
namespace {

Action list(CLI::App& command) {
  command.footer(render_list_keys());
  const auto look = [](const Common&, const View& view) {
    const std::vector<SegmentEntry> entries = taken(list_segments());
    return view.json ? render_json(entries) : render_list(entries, view.colours);
  };
  return reading(command, "print one JSON object", look, Scope::host);
}

Action create(CLI::App& command) {
  const auto path = std::make_shared<std::string>();
  add_config(command, *path)->required();
  return [path](const Common& common) {
    const Config config = loaded(*path, common).config;
    const bool existed = static_cast<bool>(Limiter::attach(config.segment.name));
    const Limiter limiter = taken(Limiter::open(config));
    fmt::print("segment \"{}\": {}\n", config.segment.name,
               existed ? "exists already, and goes on with its limits; to change them: shm-inspect apply"
                       : "created");
  };
}

Action check(CLI::App& command) {
  const auto path = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  add_config(command, *path)->default_val("builtin");
  command.add_flag(
      "--json", *json,
      "print one JSON object: values, a list of key, value (TOML) and origin; and remarks, a list of "
      "key, warning and text");
  return [path, json](const Common& common) {
    const LoadedConfig config = loaded(*path, common);
    const std::vector<Remark> remarks = remarks_on(config.config);
    fmt::print("{}", *json ? render_json(config, remarks) : to_toml(config));
    if (*json) return;
    for (const auto& [key, warning, text] : remarks)
      tools::complain("shm-inspect", fmt::format("{}: {}: {}", warning ? "warning" : "note", key, text));
  };
}

/// Asks before a segment is removed. If there is none, the attempt to remove it will say so.
void ask_to_remove(const std::string& name, const Confirmation& confirmation) {
  for (const SegmentEntry& entry : taken(list_segments())) {
    if (entry.name != name) continue;
    return confirmation.ask(
        entry.problem.empty()
            ? fmt::format("remove segment \"{}\", with all that is spent and held in it ({} workers)", name,
                          entry.workers)
            : fmt::format("remove segment \"{}\"", name));
  }
}

Action remove(CLI::App& command) {
  const auto confirmation = std::make_shared<Confirmation>();
  confirmation->declare(command);
  return [confirmation](const Common& common) {
    const std::string name = common.segment_or_default();
    if (!confirmation->is_given()) ask_to_remove(name, *confirmation);
    taken(remove_segment(name));
    fmt::print("segment \"{}\": removed\n", name);
  };
}

constexpr std::array kCommands{
    Command{"list", "show the segments of this host", list},
    Command{"create", "create a segment that enforces a configuration", create},
    Command{"check", "check a configuration, and show the resulting values and where each came from", check},
    Command{"remove", "remove a segment; processes keep using it until there is a new one", remove},
};

}  // namespace

std::span<const Command> segment_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#include "reading.hpp"

#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>

#include "weir/inspect.hpp"

#include "common/output.hpp"
#include "watch.hpp"

namespace weir::shm_inspect {

namespace {

struct Asked {
  bool json = false;
  std::string interval;  ///< empty: once
};

/// What tells the segment from others of its name; empty if there is none that can be read.
std::string identity_of(const std::string& segment) {
  const auto entries = list_segments();
  if (!entries) return {};
  for (const SegmentEntry& entry : *entries) {
    if (entry.name == segment && !entry.uuid.empty()) return entry.uuid;
  }
  return {};
}

}  // namespace

Action reading(CLI::App& command, const char* json_help, Look look, Scope scope) {
  const auto asked = std::make_shared<Asked>();
  command.add_flag("--json", asked->json, json_help);
  add_watch(
      command, asked->interval,
      "show it again and again, every 2 seconds or as S says (0.5, 500ms), until Ctrl-C; with --json one "
      "object a line, of which one with the key notice tells what became of the segment");
  return [asked, scope, look = std::move(look)](const Common& common) {
    const auto shown = [&] { return look(common, {.json = asked->json, .colours = tools::wants_colours()}); };
    if (asked->interval.empty()) return fmt::print("{}", shown());
    Watched watched{parse_interval(asked->interval), asked->json, shown};
    if (scope == Scope::segment) watched.identity = [&] { return identity_of(common.segment_or_default()); };
    watch(watched);
  };
}

}  // namespace weir::shm_inspect

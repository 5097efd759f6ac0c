// SPDX-License-Identifier: Apache-2.0

// The commands that only look at a segment.

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/control.hpp"
#include "weir/inspect.hpp"

#include "command.hpp"
#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "metrics.hpp"
#include "reading.hpp"
#include "render.hpp"
#include "top.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr const char* kOneObject = "print one JSON object";

Action status(CLI::App& command) {
  command.footer(render_status_keys());
  return reading(command, kOneObject, [](const Common& common, const View& view) {
    const Snapshot snapshot = taken(take_snapshot(common.segment_or_default()));
    return view.json ? render_json(snapshot) : render_text(snapshot, view.colours);
  });
}

Action workers(CLI::App& command) {
  return reading(command, "print one JSON object, with the keys of status --json",
                 [](const Common& common, const View& view) {
                   const Snapshot snapshot = taken(take_snapshot(common.segment_or_default()));
                   return view.json ? render_json(snapshot) : render_workers(snapshot, view.colours);
                 });
}

// CLI11's own check of a choice prints the numbers behind the names, as characters.
UserOrder order_named(const std::string& name) {
  constexpr std::array<std::pair<std::string_view, UserOrder>, 3> kOrders = {
      {{"refused", UserOrder::refused},
       {"nearest-limit", UserOrder::nearest_limit},
       {"permits", UserOrder::permits}}};
  for (const auto& [known, order] : kOrders) {
    if (name == known) return order;
  }
  throw Failure(kUsage, "--by: unknown order \"" + name + "\"; use refused, nearest-limit or permits");
}

std::string shown(const std::vector<UserEntry>& entries, const View& view) {
  return view.json ? render_json(entries) : render_users(entries, view.colours);
}

Action users(CLI::App& command) {
  const auto query = std::make_shared<UserQuery>();
  command.add_option("--top", query->top, "how many")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  command.add_option("--operation", query->operation, "only the limits of this operation")->check(kNotEmpty);
  command
      .add_option_function<std::string>(
          "--by", [query](const std::string& name) { query->order = order_named(name); },
          "which users come first: refused (they wait longest), nearest-limit, permits (they hold most)")
      ->type_name("ORDER");
  command.footer(
      "Users are shown by name only if segment.key_names is set, and otherwise as # and a hash. Only the\n"
      "first 48 bytes of a long name are known: it is marked as cut, and the user cannot be looked up by\n"
      "it. With --json, name is whole, cut or hash.");
  return reading(command, kOneObject, [query](const Common& common, const View& view) {
    return shown(taken(list_users(common.segment_or_default(), *query)), view);
  });
}

Action user(CLI::App& command) {
  const auto name = std::make_shared<std::string>();
  command.add_option("NAME", *name, "the name by which the server knows the user")
      ->required()
      ->check(kNotEmpty);
  return reading(command, kOneObject, [name](const Common& common, const View& view) {
    return shown(taken(look_up_user(common.segment_or_default(), *name)), view);
  });
}

Action history(CLI::App& command) {
  return reading(command, kOneObject, [](const Common& common, const View& view) {
    const std::vector<ChangeEntry> entries = taken(change_history(common.segment_or_default()));
    return view.json ? render_json(entries) : render_history(entries);
  });
}

constexpr std::array kCommands{
    Command{"status", "show what a segment holds now; changes nothing", status},
    Command{"top", "watch the operations of a segment on the whole terminal", top},
    Command{"workers", "show the attached processes and what they hold", workers},
    Command{"users", "show the users against whom most is held", users},
    Command{"user", "show one user under every limit", user},
    Command{"metrics", "write what segments hold in a format of Prometheus", metrics},
    Command{"history", "show who changed which limit, and when", history},
};

}  // namespace

std::span<const Command> reading_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect

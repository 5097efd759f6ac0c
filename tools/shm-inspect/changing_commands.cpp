// SPDX-License-Identifier: Apache-2.0

// The commands that change what a segment holds.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "weir/control.hpp"
#include "weir/limiter.hpp"
#include "weir/text.hpp"

#include "command.hpp"
#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "configured.hpp"
#include "confirmation.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

/// How all commands that change limits may be asked to do it.
struct How {
  bool dry_run = false;
  bool json = false;

  void declare(CLI::App& command) {
    command.add_flag("--dry-run", dry_run, "only say what would change");
    command.add_flag("--json", json,
                     "print one JSON object: generation, dry_run, changes (a list of key, from, to)");
  }

  void show(const ChangeReport& report) const {
    fmt::print("{}", json ? render_json(report, dry_run) : render_changes(report, dry_run));
  }
};

struct Setting : How {
  std::string key;
  std::string value;
  bool may_add = false;  ///< whether it may make an operation
};

ChangeReport switched(const Common& common, const Setting& setting, const std::string& operation) {
  constexpr std::array<std::string_view, 5> kPositions{"automatic", "forced_open", "forced_closed",
                                                       "disabled", "metrics_only"};
  const auto found = std::find(kPositions.begin(), kPositions.end(), setting.value);
  if (found == kPositions.end()) {
    throw Failure(
        kUsage,
        fmt::format(
            "{}: \"{}\" is not a breaker state; use automatic, forced_open, forced_closed, disabled or "
            "metrics_only",
            printable(setting.key), printable(setting.value)));
  }
  const auto position = static_cast<BreakerSwitch>(found - kPositions.begin());
  return taken(switch_breaker(common.segment_or_default(), operation, position, setting.dry_run));
}

/// The operation whose breaker a key switches, in quotes or without; nothing if the key is another one.
std::optional<std::string_view> switched_operation(std::string_view key) {
  constexpr std::string_view kOperations = "operations.";
  constexpr std::string_view kState = ".breaker.state";
  if (!key.starts_with(kOperations) || !key.ends_with(kState)) return std::nullopt;
  if (key.size() < kOperations.size() + kState.size()) return std::nullopt;
  std::string_view name = key.substr(kOperations.size(), key.size() - kOperations.size() - kState.size());
  const bool quoted =
      name.size() >= 2 && name.front() == name.back() && (name.front() == '"' || name.front() == '\'');
  return quoted ? name.substr(1, name.size() - 2) : name;
}

Action set(CLI::App& command) {
  const auto setting = std::make_shared<Setting>();
  command
      .add_option("KEY", setting->key,
                  "as in a file or in status: operations.x.rate, operations.x.user.concurrent")
      ->required();
  command.add_option("VALUE", setting->value, "60/min, 20, '[\"30/min\", \"500/hour\"]', none to remove it")
      ->required();
  command.add_flag("--new", setting->may_add, "add the operation that KEY names, if there is none");
  setting->declare(command);
  command.footer(
      "operations.X.breaker.state takes automatic, forced_open, forced_closed, disabled or metrics_only.");
  return [setting](const Common& common) {
    const auto operation = switched_operation(setting->key);
    setting->show(operation ? switched(common, *setting, std::string(*operation))
                            : taken(set_limit(common.segment_or_default(), setting->key, setting->value,
                                              setting->dry_run, setting->may_add)));
  };
}

Action apply(CLI::App& command) {
  const auto path = std::make_shared<std::string>();
  const auto how = std::make_shared<How>();
  add_config(command, *path)->required();
  how->declare(command);
  return [path, how](const Common& common) {
    const Config config = loaded(*path, common).config;
    how->show(taken(apply_config(config.segment.name, config, how->dry_run)));
  };
}

Action rollback(CLI::App& command) {
  const auto generation = std::make_shared<std::optional<std::uint64_t>>();
  const auto how = std::make_shared<How>();
  command.add_option("GENERATION", *generation,
                     "go back to the limits of this generation of history; 0: those it was made with");
  how->declare(command);
  command.footer(
      "A reset cannot be taken back: what it forgot is not kept anywhere. It is passed over and named; with "
      "--json its\n"
      "generation is in resets. Where nothing is left to take back, the exit status is 1.");
  return [generation, how](const Common& common) {
    const std::string segment = common.segment_or_default();
    const Result<ChangeReport> report =
        *generation ? roll_back_to(segment, **generation, how->dry_run) : roll_back(segment, how->dry_run);
    // The command was right, but there is nothing to take back.
    if (!report && !*generation && report.error().code == Errc::not_in_segment)
      throw Failure(kFailed, report.error().message());
    how->show(taken(report));
  };
}

struct Resetting {
  std::optional<std::string> operation;
  std::optional<std::string> user;
  bool dry_run = false;
  bool json = false;
  Confirmation confirmation;
};

void reset_as_asked(const Common& common, const Resetting& asked) {
  if (asked.operation && asked.user) {
    throw Failure(kUsage,
                  "reset: --operation and --user together; give one of them, or neither to reset everything");
  }
  const std::string name = common.segment_or_default();
  const auto reset = [&](bool dry_run) {
    return taken(reset_limits(name, asked.operation.value_or(""), asked.user.value_or(""), dry_run));
  };
  if (!asked.dry_run && !asked.confirmation.is_given()) {
    const ResetReport would = reset(true);
    asked.confirmation.ask(fmt::format("segment \"{}\": reset {} shared limits and {} entries of users", name,
                                       would.limits, would.users));
  }
  const ResetReport report = reset(asked.dry_run);
  if (asked.json) {
    fmt::print("{}", render_json(report, asked.dry_run));
    return;
  }
  fmt::print("segment \"{}\": {}reset {} shared limits and {} entries of users\n", name,
             asked.dry_run ? "would " : "", report.limits, report.users);
  if (asked.dry_run) fmt::print("nothing was changed (--dry-run)\n");
}

Action reset(CLI::App& command) {
  const auto asked = std::make_shared<Resetting>();
  command.add_option("--operation", asked->operation, "only this operation and its users")->check(kNotEmpty);
  command.add_option("--user", asked->user, "only this user, under all limits")->check(kNotEmpty);
  command.add_flag("--dry-run", asked->dry_run, "only say what would be reset");
  asked->confirmation.declare(command);
  command.add_flag("--json", asked->json, "print one JSON object: dry_run, limits, users");
  command.footer("A reset is in the history, but cannot be taken back: rollback passes over it.");
  return [asked](const Common& common) { reset_as_asked(common, *asked); };
}

Action reap(CLI::App&) {
  return [](const Common& common) {
    const std::string name = common.segment_or_default();
    const ReapReport report = taken(Limiter::attach(name)).reap();
    fmt::print("segment \"{}\": {} dead workers swept, {} permits taken back\n", name, report.workers,
               report.permits);
  };
}

constexpr std::array kCommands{
    Command{"set", "change a limit; every worker follows at its next call", set},
    Command{"apply", "make a running segment enforce a configuration", apply},
    Command{"rollback",
            "take back the last change that was not taken back yet, or all changes since a generation",
            rollback},
    Command{"reset", "reset limits and users, so that all tokens are available again", reset},
    Command{"reap", "return what dead workers held, before a request needs it", reap},
};

}  // namespace

std::span<const Command> changing_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect

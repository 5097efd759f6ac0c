// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <string_view>
#include <utility>

#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr const char* kExitStatus =
    "The exit status is 0 if all went well; 1 if the command failed or its output could not be written;\n"
    "2 if the usage, the configuration or the name of an operation is wrong; 3 if there is no such segment;\n"
    "4 if the segment has another layout; 5 if it is damaged.";

CLI::App& add(CLI::App& app, Options& options, Command command, const char* name, const char* what) {
  CLI::App& sub = *app.add_subcommand(name, what);
  sub.callback([&options, command] { options.command = command; });
  return sub;
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

constexpr const char* kEnvironment =
    "Variables of the environment replace values of the file. A key of the file becomes a name with\n"
    "\"__\" for its dots: WEIR_GLOBAL__RATE=\"60/min\", WEIR_OPERATIONS__IMAGE_RESIZE__RATE, ...\n"
    "These names set values of [defaults]: RATE_LIMIT_REQUESTS_PER_MINUTE, RATE_LIMIT_REQUESTS_PER_HOUR,\n"
    "RATE_LIMIT_BURST_LIMIT, MAX_CONCURRENT_REQUESTS, MAX_CONCURRENT_PER_USER, CONCURRENCY_TIMEOUT,\n"
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD, CIRCUIT_BREAKER_RECOVERY_TIMEOUT.";

CLI::Option* add_config(CLI::App& sub, Options& options) {
  sub.footer(kEnvironment);
  return sub.add_option("CONFIG", options.config, "a TOML file, or the word builtin")->check(kNotEmpty);
}

/// Adds the flags that all commands which change limits have.
void add_change_flags(CLI::App& sub, Options& options) {
  sub.add_flag("--dry-run", options.dry_run, "only say what would change");
  sub.add_flag("--json", options.json,
               "print one JSON object: generation, dry_run, changes (a list of key, from, to)");
}

void add_commands(CLI::App& app, Options& options) {
  add_config(add(app, options, Command::create, "create", "create a segment that enforces a configuration"),
             options)
      ->required();
  CLI::App& check = add(app, options, Command::check, "check",
                        "check a configuration, and show the resulting values and where each came from");
  add_config(check, options)->default_val("builtin");
  check.add_flag(
      "--json", options.json,
      "print one JSON object: values, a list of key, value (TOML) and origin; and remarks, a list of "
      "key, warning and text");

  add(app, options, Command::keys, "keys",
      "show every key of a configuration with its bounds and its default (Markdown)");

  CLI::App& list = add(app, options, Command::list, "list", "show the segments of this host");
  list.add_flag("--json", options.json,
                "print one JSON object: segments, a list of name, layout_version, owner, group (numbers), "
                "mode (octal), bytes, workers (living ones; null if unknown) and problem");

  CLI::App& status =
      add(app, options, Command::status, "status", "show what a segment holds now; changes nothing");
  status.add_flag("--json", options.json, "print one JSON object");
  status.footer(render_status_keys());

  CLI::App& workers =
      add(app, options, Command::workers, "workers", "show the attached processes and what they hold");
  workers.add_flag("--json", options.json, "print one JSON object, with the keys of status --json");

  CLI::App& users = add(app, options, Command::users, "users", "show the users against whom most is held");
  users.add_option("--top", options.top, "how many")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  users.add_option("--operation", options.operation, "only the limits of this operation")->check(kNotEmpty);
  users
      .add_option_function<std::string>(
          "--by", [&options](const std::string& name) { options.by = order_named(name); },
          "which users come first: refused (they wait longest), nearest-limit, permits (they hold most)")
      ->type_name("ORDER");
  users.add_flag("--json", options.json, "print one JSON object");
  users.footer(
      "Users are shown by name only if segment.key_names is set, and otherwise as # and a hash. Only the\n"
      "first 48 bytes of a long name are known: it is marked as cut, and the user cannot be looked up by\n"
      "it. With --json, name is whole, cut or hash.");

  CLI::App& user = add(app, options, Command::user, "user", "show one user under every limit");
  user.add_option("NAME", options.user, "the name by which the server knows the user")
      ->required()
      ->check(kNotEmpty);
  user.add_flag("--json", options.json, "print one JSON object");

  CLI::App& set =
      add(app, options, Command::set, "set", "change a limit; every worker follows at its next call");
  set.add_option("KEY", options.key,
                 "as in a file or in status: operations.x.rate, operations.x.user.concurrent")
      ->required();
  set.add_option("VALUE", options.value, "60/min, 20, '[\"30/min\", \"500/hour\"]', none to remove it")
      ->required();
  set.add_flag("--new", options.may_add, "add the operation that KEY names, if there is none");
  add_change_flags(set, options);
  set.footer(
      "operations.X.breaker.state takes automatic, forced_open, forced_closed, disabled or metrics_only.");

  CLI::App& apply =
      add(app, options, Command::apply, "apply", "make a running segment enforce a configuration");
  add_config(apply, options)->required();
  add_change_flags(apply, options);

  CLI::App& rollback =
      add(app, options, Command::rollback, "rollback",
          "take back the last change that was not taken back yet, or all changes since a generation");
  rollback.add_option("GENERATION", options.generation,
                      "go back to the limits of this generation of history; 0: those it was made with");
  add_change_flags(rollback, options);
  rollback.footer(
      "A reset cannot be taken back: what it forgot is not kept anywhere. It is passed over and named; with "
      "--json its\n"
      "generation is in resets. Where nothing is left to take back, the exit status is 1.");

  CLI::App& history =
      add(app, options, Command::history, "history", "show who changed which limit, and when");
  history.add_flag("--json", options.json, "print one JSON object");

  CLI::App& reset = add(app, options, Command::reset, "reset",
                        "reset limits and users, so that all tokens are available again");
  reset.add_option("--operation", options.operation, "only this operation and its users")->check(kNotEmpty);
  reset.add_option("--user", options.user, "only this user, under all limits")->check(kNotEmpty);
  reset.add_flag("--dry-run", options.dry_run, "only say what would be reset");
  reset.add_flag("--json", options.json, "print one JSON object: dry_run, limits, users");
  reset.footer("A reset is in the history, but cannot be taken back: rollback passes over it.");

  add(app, options, Command::reap, "reap", "return what dead workers held, before a request needs it");
  CLI::App& fields =
      add(app, options, Command::fields, "fields", "explain every key of --json, for every command");
  fields.add_flag("--markdown", options.markdown, "print a page of documentation");
  add(app, options, Command::remove, "remove",
      "remove a segment; processes keep using it until there is a new one");
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("Looks at the rate limits that the processes of this host keep in a shared-memory segment.",
               "shm-inspect");
  app.set_version_flag("--version", "shm-inspect " WEIR_VERSION);
  app.add_option("--segment", options.segment,
                 "the name of the segment; by default \"weir\", or the configured name for create and check")
      ->check(kNotEmpty)
      ->envname("WEIR_SEGMENT");
  app.require_subcommand(1);
  app.fallthrough();  // so that --segment may stand after the command
  app.footer(kExitStatus);
  add_commands(app, options);
  refuse_empty_values(argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    refuse_unknown_command(app, argc, argv);
    throw Failure(kUsage, std::string(error.what()) + "; see shm-inspect --help");
  }
  return options;
}

}  // namespace weir::shm_inspect

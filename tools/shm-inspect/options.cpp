#include "options.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <string_view>
#include <utility>

#include "common/arguments.hpp"
#include "common/failure.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): how all tools fail
namespace {

constexpr const char* kExitStatus =
    "Exit status: 0 done, 1 failed (also if the output cannot be written), 2 wrong usage, configuration or "
    "name\n"
    "of an operation, 3 no such segment, 4 a segment of another layout, 5 a damaged segment.";

constexpr const char* kJsonKeys =
    "The keys of --json:\n"
    "  segment, library_version, layout_version, uuid, bytes\n"
    "  created              UTC, as 2024-01-31T12:00:00Z\n"
    "  operations           names, as a list\n"
    "  shared_limits        a list, for each limit that all callers share:\n"
    "    name               its place in the configuration\n"
    "    rate               as text; count, period_s and burst are its parts\n"
    "    available          tokens that one request could spend now\n"
    "    full_in_s          seconds until the bucket is full again\n"
    "  user_limits          a list, for each limit per user: name, rate, count, period_s, burst, and\n"
    "    active             users who owe something now\n"
    "    exhausted          of these, users who could not spend one token now\n"
    "  user_table           capacity, occupied, active: entries; a user takes one for each of its limits\n"
    "    when_full          evict, refuse or admit\n"
    "    evicted            users forgotten although they owed something\n"
    "    refused            requests refused because the table was full\n"
    "    unlimited          requests admitted uncharged because the table was full\n"
    "  shared_permits       a list, for each concurrency limit over all callers: name, limit, in_use\n"
    "  user_permits         a list, for each per user: name, limit, and\n"
    "    users              users who hold a permit now\n"
    "    in_use             permits of all users\n"
    "  windows              a list: name, window as text, limit, length_s, per_user; available and "
    "full_in_s, or of\n"
    "                       users active and exhausted\n"
    "  cooldowns            a list: name, length_s, refusals, per_user, blocked_for_s, blocked_users\n"
    "  breakers             a list: operation, state, failures_in_a_row; calls, failures and slow in its "
    "window;\n"
    "                       probes_out, trips in a row, next_probe_s\n"
    "    mode, would_refuse  of any limit: enforced, shadow or candidate; what one that only counts would "
    "have "
    "refused\n"
    "  generation           live changes so far\n"
    "  difference           null, or of the last configuration that was opened and is not enforced: values "
    "(how\n"
    "                       many differ), the first key, its value in the segment and in the configuration,\n"
    "                       program, pid, when\n"
    "  worker_slots         how many processes may be attached at once\n"
    "  workers              a list, for each attached process: slot, pid, name, and\n"
    "    dead               true until a sweep returns what it held\n"
    "    since_s            seconds since it joined\n"
    "    permits            held, of all limits\n"
    "    oldest_s           age of its oldest shared permit, in steps of 0.067\n"
    "  swept                workers, permits: taken back from the dead; late_releases: given back too late";

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
    "Variables are put over the file: WEIR_GLOBAL__RATE=\"60/min\", WEIR_OPERATIONS__IMAGE_RESIZE__RATE, "
    "...\n"
    "(a key of the file, its dots as \"__\"), and for [defaults] the plain names "
    "RATE_LIMIT_REQUESTS_PER_MINUTE,\n"
    "RATE_LIMIT_REQUESTS_PER_HOUR, RATE_LIMIT_BURST_LIMIT, MAX_CONCURRENT_REQUESTS, "
    "MAX_CONCURRENT_PER_USER,\n"
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD, CIRCUIT_BREAKER_RECOVERY_TIMEOUT.";

CLI::Option* add_config(CLI::App& sub, Options& options) {
  sub.footer(kEnvironment);
  return sub.add_option("CONFIG", options.config, "a TOML file, or the word builtin")->check(kNotEmpty);
}

/// What all commands have that change limits.
void add_change_flags(CLI::App& sub, Options& options) {
  sub.add_flag("--dry-run", options.dry_run, "only say what would change");
  sub.add_flag("--json", options.json,
               "as one JSON object: generation, dry_run, changes (a list of key, from, to)");
}

void add_commands(CLI::App& app, Options& options) {
  add_config(add(app, options, Command::create, "create", "create a segment that enforces a configuration"),
             options)
      ->required();
  CLI::App& check = add(app, options, Command::check, "check",
                        "check a configuration, and show what it amounts to and where each value came from");
  add_config(check, options)->default_val("builtin");
  check.add_flag("--json", options.json,
                 "as one JSON object: values, a list of key, value (TOML) and origin");

  add(app, options, Command::keys, "keys",
      "show every key of a configuration with its bounds and its default (Markdown)");

  CLI::App& list = add(app, options, Command::list, "list", "show the segments of this host");
  list.add_flag(
      "--json", options.json,
      "as one JSON object: segments, a list of name, layout_version, owner, group (numbers), mode (octal), "
      "bytes, workers (living ones; null if unknown) and problem");

  CLI::App& status =
      add(app, options, Command::status, "status", "show what a segment holds now; changes nothing");
  status.add_flag("--json", options.json, "as one JSON object");
  status.footer(kJsonKeys);

  CLI::App& workers = add(app, options, Command::workers, "workers", "show who is attached and holds what");
  workers.add_flag("--json", options.json, "as one JSON object, with the keys of status --json");

  CLI::App& users = add(app, options, Command::users, "users", "show the users against whom most is held");
  users.add_option("--top", options.top, "how many")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  users.add_option("--operation", options.operation, "only the limits of this operation")->check(kNotEmpty);
  users
      .add_option_function<std::string>(
          "--by", [&options](const std::string& name) { options.by = order_named(name); },
          "which users come first: refused (they wait longest), nearest-limit, permits (they hold most)")
      ->type_name("ORDER");
  users.add_flag("--json", options.json, "as one JSON object");
  users.footer(
      "Users are shown by name only if segment.key_names says so; else as # and a hash. Of a long name the "
      "first\n"
      "48 bytes are known: it is marked as cut, and cannot be looked up by them. With --json, name is whole, "
      "cut\n"
      "or hash.");

  CLI::App& user = add(app, options, Command::user, "user", "show one user under every limit");
  user.add_option("NAME", options.user, "the key that the server uses for it")->required()->check(kNotEmpty);
  user.add_flag("--json", options.json, "as one JSON object");

  CLI::App& set =
      add(app, options, Command::set, "set", "change a limit; every worker follows at its next call");
  set.add_option("KEY", options.key,
                 "as in a file or in status: operations.x.rate, operations.x.user.concurrent")
      ->required();
  set.add_option("VALUE", options.value, "60/min, 20, '[\"30/min\", \"500/hour\"]', none to remove it")
      ->required();
  set.add_flag("--new", options.may_add, "make the operation that KEY names, if it is not there");
  add_change_flags(set, options);
  set.footer(
      "operations.X.breaker.state takes automatic, forced_open, forced_closed, disabled or metrics_only.");

  CLI::App& apply =
      add(app, options, Command::apply, "apply", "make a running segment enforce a configuration");
  add_config(apply, options)->required();
  add_change_flags(apply, options);

  CLI::App& rollback =
      add(app, options, Command::rollback, "rollback",
          "take the last change back that was not taken back yet, or all since a generation");
  rollback.add_option("GENERATION", options.generation,
                      "of history: go back to how it was after this one; 0: as made");
  add_change_flags(rollback, options);

  CLI::App& history =
      add(app, options, Command::history, "history", "show who changed which limit, and when");
  history.add_flag("--json", options.json, "as one JSON object");

  CLI::App& reset = add(app, options, Command::reset, "reset", "give everybody all tokens back");
  reset.add_option("--operation", options.operation, "only this operation and its users")->check(kNotEmpty);
  reset.add_option("--user", options.user, "only this user, under all limits")->check(kNotEmpty);
  reset.add_flag("--json", options.json, "as one JSON object: limits, users");

  add(app, options, Command::reap, "reap", "return what dead workers held, without waiting for who needs it");
  add(app, options, Command::remove, "remove", "remove a segment; processes that have it open go on with it");
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("Looks at the rate limits that the processes of this host keep in a shared-memory segment.",
               "shm-inspect");
  app.set_version_flag("--version", "shm-inspect " WEIR_VERSION);
  app.add_option("--segment", options.segment,
                 "name of the segment; by default \"weir\", or for create and check as configured")
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

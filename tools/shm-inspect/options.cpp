#include "options.hpp"

#include <CLI/CLI.hpp>

#include "common/failure.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): how all tools fail
namespace {

constexpr const char* kExitStatus =
    "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 no such segment, 4 a segment of "
    "another\n"
    "layout, 5 a damaged segment.";

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
  return sub.add_option("CONFIG", options.config, "a TOML file, or the word builtin");
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

  CLI::App& status =
      add(app, options, Command::status, "status", "show what a segment holds now; changes nothing");
  status.add_flag("--json", options.json, "as one JSON object");
  status.footer(kJsonKeys);

  CLI::App& workers = add(app, options, Command::workers, "workers", "show who is attached and holds what");
  workers.add_flag("--json", options.json, "as one JSON object, with the keys of status --json");

  CLI::App& reset = add(app, options, Command::reset, "reset", "give everybody all tokens back");
  reset.add_option("--operation", options.operation, "only this operation and its users");
  reset.add_option("--user", options.user, "only this user, under all limits");

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
      ->envname("WEIR_SEGMENT");
  app.require_subcommand(1);
  app.fallthrough();  // so that --segment may stand after the command
  app.footer(kExitStatus);
  add_commands(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw Failure(kUsage, std::string(error.what()) + "; see shm-inspect --help");
  }
  return options;
}

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/arguments.hpp"
#include "common/reference.hpp"

namespace weir::replay {
namespace {

void check(const Options& options) {
  if (!options.decisions.empty() && options.workers != 1) {
    throw UsageError("--decisions are written by one process in order; leave out --workers, or set it to 1");
  }
  if (std::count(options.logs.begin(), options.logs.end(), "-") > 1) {
    throw UsageError("standard input is named twice, but can be read only once");
  }
  if (options.logs.size() > 0xffff) throw UsageError("there are more than 65,535 logs; concatenate some");
  if (options.user_text.empty()) {
    throw UsageError("--user is empty; use address, xff, name, or a header of JSON lines");
  }
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  std::vector<std::string> routes;
  CLI::App app(
      "Says what limits would have done to the requests of access logs, at the times in the logs.\n"
      "A log is in the common or combined format of Apache and nginx, with or without a virtual host, or "
      "holds JSON\n"
      "objects as nginx, Caddy and Traefik write them; gzip and the prefixes of syslog and docker are "
      "understood.\n"
      "Permits and breakers are not tried, because a log does not say how many requests ran at once, or "
      "which failed.",
      "weir-replay");
  app.set_version_flag("--version", "weir-replay " WEIR_VERSION);
  app.add_option("--config", options.config, "the limits to try: a TOML file")
      ->check(tools::kNotEmpty)
      ->required();
  app.add_option("--operation", options.operation, "the operation of every request")
      ->check(tools::kNotEmpty)
      ->capture_default_str();
  app.add_option(
         "--operation-by", routes,
         "PATTERN=OPERATION: a request has this operation if its path matches the shell pattern; the first "
         "match counts; may be repeated")
      ->allow_extra_args(false);
  app.add_option(
         "--user", options.user_text,
         "who the user is: address; xff (the first of X-Forwarded-For, or the address if there is none); "
         "name (the user who is logged in); or a header or key of JSON lines")
      ->capture_default_str();
  app.add_option("--ipv4-prefix", options.prefix4, "IPv4 addresses that share this many bits are one user")
      ->check(CLI::Range(0, 32))
      ->capture_default_str();
  app.add_option("--ipv6-prefix", options.prefix6, "IPv6 addresses that share this many bits are one user")
      ->check(CLI::Range(0, 128))
      ->capture_default_str();
  app.add_flag(
      "--sort,!--no-sort", options.sort,
      "decide requests in the order of their times (the default); standard input is sorted within a window "
      "of 262,144 requests. With --no-sort: in the order of the lines; a late one counts at the time of the "
      "one before it");
  app.add_option("--workers", options.workers, "the number of processes that decide; the answer is the same")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_flag("--json", options.json, "print the report as one JSON object");
  app.add_option("--decisions", options.decisions,
                 "also write to this file, for each request: line (LOG:line if there are several logs), "
                 "verdict, limit, and wait in nanoseconds")
      ->check(tools::kNotEmpty);
  app.add_option("LOG", options.logs, "access logs; - is standard input")
      ->check(tools::kNotEmpty)
      ->required();
  if (tools::print_reference(app, argc, argv, "*weir-replay* *--config* _FILE_ [_OPTIONS_] _LOG_...",
                             "# SEE ALSO\n\n*weir.toml*(5), *shm-inspect*(1)\n")) {
    return 0;
  }
  tools::refuse_empty_values(argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw UsageError(std::string(error.what()) + "; see weir-replay --help");
  }
  check(options);
  options.user = UserField::of(options.user_text);
  for (const std::string& route : routes) options.routes.push_back(parse_route(route));
  return options;
}

}  // namespace weir::replay

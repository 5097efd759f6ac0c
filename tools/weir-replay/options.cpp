#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/arguments.hpp"

namespace weir::replay {
namespace {

void check(const Options& options) {
  if (!options.decisions.empty() && options.workers != 1) {
    throw UsageError("--decisions are written by one process in order; leave --workers out, or at 1");
  }
  if (std::count(options.logs.begin(), options.logs.end(), "-") > 1) {
    throw UsageError("standard input is named twice, but can be read only once");
  }
  if (options.logs.size() > 0xffff) throw UsageError("more than 65,535 logs; concatenate some of them");
  if (options.user_text.empty()) {
    throw UsageError("--user is empty; use address, xff, name, or a header of JSON lines");
  }
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  std::vector<std::string> routes;
  CLI::App app(
      "Says what limits would have done to the requests of access logs, at the logs' own times.\n"
      "A log is in the common or combined format of Apache and nginx, with a virtual host or without, or "
      "holds JSON\n"
      "objects as nginx, Caddy and Traefik write them; gzip and the prefixes of syslog and docker are "
      "understood.\n"
      "Permits and breakers are not tried: a log does not say how many requests ran at once, or which "
      "failed.",
      "weir-replay");
  app.set_version_flag("--version", "weir-replay " WEIR_VERSION);
  app.add_option("--config", options.config, "the limits to try: a TOML file")
      ->check(tools::kNotEmpty)
      ->required();
  app.add_option("--operation", options.operation, "the operation that every request is")
      ->check(tools::kNotEmpty)
      ->capture_default_str();
  app.add_option(
         "--operation-by", routes,
         "PATTERN=OPERATION: requests whose path matches, as a shell matches, are that operation; the first "
         "that matches counts; may be repeated")
      ->allow_extra_args(false);
  app.add_option(
         "--user", options.user_text,
         "who the user is: address; xff (the first of X-Forwarded-For, or else the address); name (the one "
         "logged in); or a header or key of JSON lines")
      ->capture_default_str();
  app.add_option("--ipv4-prefix", options.prefix4, "IPv4 addresses that share so many bits are one user")
      ->check(CLI::Range(0, 32))
      ->capture_default_str();
  app.add_option("--ipv6-prefix", options.prefix6, "IPv6 addresses that share so many bits are one user")
      ->check(CLI::Range(0, 128))
      ->capture_default_str();
  app.add_flag(
      "--sort,!--no-sort", options.sort,
      "decide requests in the order of their times (the default); standard input within a window of "
      "262,144 requests. Without: in the order of the lines, and a late one counts as the one before it");
  app.add_option("--workers", options.workers, "processes that decide together; the answer is the same")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_flag("--json", options.json, "report as one JSON object");
  app.add_option("--decisions", options.decisions,
                 "also write to this file, for each request: line (of several logs LOG:line), verdict, "
                 "limit, wait in "
                 "nanoseconds")
      ->check(tools::kNotEmpty);
  app.add_option("LOG", options.logs, "access logs, or - for standard input")
      ->check(tools::kNotEmpty)
      ->required();
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

#include "options.hpp"

#include <CLI/CLI.hpp>

namespace weir::replay {

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Says what limits would have done to the requests of an access log, at the log's own times.\n"
      "The log is in the common or combined format of Apache and nginx; a user is an address.",
      "weir-replay");
  app.set_version_flag("--version", "weir-replay " WEIR_VERSION);
  app.add_option("--config", options.config, "the limits to try: a TOML file")->required();
  app.add_option("--operation", options.operation, "the operation that every request is")
      ->capture_default_str();
  app.add_option("--workers", options.workers, "processes that decide together; the answer is the same")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_flag("--json", options.json, "report as one JSON object");
  app.add_option("--decisions", options.decisions,
                 "also write to this file, for each request: line, verdict, limit, wait in nanoseconds");
  app.add_option("LOG", options.log, "the access log, or - for standard input")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw UsageError(std::string(error.what()) + "; see weir-replay --help");
  }
  if (!options.decisions.empty() && options.workers != 1) {
    throw UsageError("--decisions are written by one process in order; leave --workers out, or at 1");
  }
  return options;
}

}  // namespace weir::replay

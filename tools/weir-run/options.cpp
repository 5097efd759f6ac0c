// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>

#include "weir/config.hpp"

#include "common/arguments.hpp"
#include "common/reference.hpp"

namespace weir::runner {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share

namespace {

constexpr const char* kAbout =
    "Runs a command under the limits of a weir segment, or refuses to run it: for cron jobs and shell\n"
    "scripts. The permits of the command are held as long as weir-run lives, and are given back however it\n"
    "ends.";
constexpr const char* kFooter =
    "In a crontab, run a backup every hour, within the limits of the operation \"backup\":\n"
    "  0 * * * *    weir-run --config /etc/weir/jobs.toml --operation backup -- /usr/local/bin/backup /home\n"
    "Start a report when the one before it has finished, but within ten minutes (as flock -w does):\n"
    "  weir-run --segment jobs --operation report --wait 10min -- make-report\n"
    "Run a job without a mail from cron for each refusal; errors are still mailed:\n"
    "  */5 * * * *  weir-run --segment jobs --operation sync -- sync-mirror 2>&1 | grep -v ': no permit "
    "is free'\n"
    "In a script, handle a refusal:\n"
    "  weir-run --segment jobs --operation export --user \"$CUSTOMER\" -- export-data \"$CUSTOMER\"\n"
    "  if [ $? -eq 75 ]; then echo \"too many exports, try again later\"; fi\n"
    "\n"
    "Signals that weir-run receives (TERM, INT, HUP, QUIT, USR1, ...) are passed on to the command. If\n"
    "weir-run is killed, the command is killed, too, but processes that it has started are not, nor is a\n"
    "command that changes its user (sudo).\n"
    "\n"
    "The exit status is that of the command; 128 + N if signal N ended it; 127 if there is no such\n"
    "command; 126 if it cannot be executed; 75 (or --status) if it was refused and may be tried again\n"
    "later; 65 if it was refused and waiting does not help (--cost or --weight asks for more than a limit\n"
    "ever allows); 1 if weir-run failed; 2 if its usage or configuration is wrong; 3 if there is no such\n"
    "segment; 4 if the segment has another layout; 5 if it is damaged. The status does not depend on\n"
    "whether a message can be written.";

// CLI11 does not know what follows "--".
class Help : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* /*app*/, std::string name) const override {
    return "Usage: " + name +
           " (--segment NAME | --config FILE) --operation OP [OPTIONS] -- COMMAND ARGS...\n";
  }
};

void declare(CLI::App& app, Options& options) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  app.set_version_flag("--version", "weir-run " WEIR_VERSION);
  app.add_option("--segment", options.segment, "the segment whose limits apply")
      ->check(kNotEmpty)
      ->envname("WEIR_SEGMENT");
  app.add_option("--config", options.config,
                 "create the segment of this TOML file if it does not exist; --segment gives it another name")
      ->check(kNotEmpty);
  app.add_option("--operation", options.operation, "the operation, as the configuration names it")
      ->check(kNotEmpty)
      ->required();
  app.add_option("--user", options.user, "the user whose limits apply; by default there is none")
      ->check(kNotEmpty);
  app.add_option("--cost", options.cost, "tokens to spend under every rate")
      ->check(CLI::Range(std::uint32_t{1}, kMost))
      ->capture_default_str();
  app.add_option("--weight", options.weight, "permits to hold under every concurrency limit")
      ->check(CLI::Range(std::uint32_t{1}, kMost))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--wait",
         [&options](const std::string& text) {
           const auto wait = parse_duration(text);
           if (!wait) throw CLI::ValidationError("--wait", wait.error().message());
           options.wait = *wait;
         },
         "how long to wait for a permit in the queue of the operation, as in \"90s\"; at most its timeout")
      ->type_name("DURATION");
  app.add_option("--priority", options.priority,
                 "of the jobs that wait, which one goes first: 1 to 5, the most urgent")
      ->check(CLI::Range(1, 5))
      ->capture_default_str();
  app.add_flag("--wait-for-rate", options.wait_for_rate,
               "wait for rates and windows, too, if they allow the job within the --wait");
  app.add_option("--status", options.refused_status, "the exit status of a refusal that may pass later")
      ->check(CLI::Range(1, 255))
      ->capture_default_str();
  app.add_flag("--detach-on-kill", options.detach_on_kill,
               "if weir-run is killed, let the command continue without its permits");
}

void check(const Options& options) {
  if (!options.segment && !options.config) {
    throw Failure(kUsage,
                  "neither --segment nor --config is given; name a segment, or a file to create it from");
  }
  if (options.wait_for_rate && options.wait.count() == 0)
    throw Failure(kUsage, "--wait-for-rate needs --wait, which says for how long");
  if (options.command == nullptr || *options.command == nullptr) {
    throw Failure(kUsage, "the command is missing; write it after \"--\": weir-run ... -- COMMAND ARGS");
  }
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  // CLI11 must not see the command's arguments: it would take "[a,b]" apart.
  char** const end = argv + argc;
  char** const separator = std::find(argv, end, std::string_view("--"));
  if (separator != end) options.command = separator + 1;

  CLI::App app(kAbout, "weir-run");
  app.formatter(std::make_shared<Help>());
  app.footer(kFooter);
  declare(app, options);
  if (print_reference(app, argc, argv,
                      "*weir-run* (*--segment* _NAME_ | *--config* _FILE_) *--operation* _OP_ [_OPTIONS_] -- "
                      "_COMMAND_ _ARGS_...",
                      "# SEE ALSO\n\n*weir.toml*(5), *shm-inspect*(1), *flock*(1)\n")) {
    return kDone;
  }
  refuse_empty_values(static_cast<int>(separator - argv), argv);
  try {
    app.parse(static_cast<int>(separator - argv), argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw Failure(kUsage, std::string(error.what()) + "; see weir-run --help");
  }
  check(options);
  return options;
}

}  // namespace weir::runner

#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>

#include "common/arguments.hpp"

namespace weir::runner {

using namespace tools;  // NOLINT(google-build-using-namespace): how all tools fail

namespace {

constexpr const char* kAbout =
    "Runs a command under the limits of a weir segment, or refuses to: for cron jobs and shell scripts.\n"
    "Its permits are held as long as weir-run lives, and come back however it ends.";

constexpr const char* kFooter =
    "In a crontab, a backup every hour, within the limits of the operation \"backup\":\n"
    "  0 * * * *    weir-run --config /etc/weir/jobs.toml --operation backup -- /usr/local/bin/backup /home\n"
    "The same without a mail from cron for each refusal; errors are still mailed:\n"
    "  */5 * * * *  weir-run --segment jobs --operation sync -- sync-mirror 2>&1 | grep -v ': no permit "
    "free'\n"
    "In a script:\n"
    "  weir-run --segment jobs --operation export --user \"$CUSTOMER\" -- export-data \"$CUSTOMER\"\n"
    "  if [ $? -eq 75 ]; then echo \"too many exports, try again later\"; fi\n"
    "\n"
    "Signals that weir-run is sent (TERM, INT, HUP, QUIT, USR1, ...) are passed on to the command. When "
    "weir-run\n"
    "is killed, so is the command, but not what the command has started, nor a command that changes its "
    "user\n"
    "(sudo).\n"
    "\n"
    "Exit status: that of the command, 128 + N if signal N ended it; 127 no such command, 126 it cannot be\n"
    "executed; 75 (or --status) refused, try again later; 65 refused, and no wait helps (--cost or --weight\n"
    "asks for more than a limit ever allows); 1 failed, 2 wrong usage or configuration, 3 no such segment, "
    "4\n"
    "a segment of another layout, 5 a damaged segment. No status depends on whether a message can be "
    "written.";

// CLI11 does not know what stands behind "--".
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
  app.add_option("--segment", options.segment, "run under the limits of this segment")
      ->check(kNotEmpty)
      ->envname("WEIR_SEGMENT");
  app.add_option("--config", options.config,
                 "create the segment of this TOML file if there is none; --segment gives it another name")
      ->check(kNotEmpty);
  app.add_option("--operation", options.operation, "the operation, as the configuration names it")
      ->check(kNotEmpty)
      ->required();
  app.add_option("--user", options.user, "whose limits per user apply; by default none")->check(kNotEmpty);
  app.add_option("--cost", options.cost, "tokens to spend under every rate")
      ->check(CLI::Range(std::uint32_t{1}, kMost))
      ->capture_default_str();
  app.add_option("--weight", options.weight, "permits to hold under every concurrency limit")
      ->check(CLI::Range(std::uint32_t{1}, kMost))
      ->capture_default_str();
  app.add_option("--status", options.refused_status, "exit status of a refusal that a wait may help")
      ->check(CLI::Range(1, 255))
      ->capture_default_str();
  app.add_flag("--detach-on-kill", options.detach_on_kill,
               "let the command go on, without its permits, when weir-run is killed");
}

void check(const Options& options) {
  if (!options.segment && !options.config) {
    throw Failure(kUsage, "neither --segment nor --config; name a segment, or a file to create it from");
  }
  if (options.command == nullptr || *options.command == nullptr) {
    throw Failure(kUsage, "no command; write it behind \"--\": weir-run ... -- COMMAND ARGS");
  }
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  // The command's arguments are none of CLI11's business, which would take "[a,b]" apart.
  char** const end = argv + argc;
  char** const separator = std::find(argv, end, std::string_view("--"));
  if (separator != end) options.command = separator + 1;

  CLI::App app(kAbout, "weir-run");
  app.formatter(std::make_shared<Help>());
  app.footer(kFooter);
  declare(app, options);
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

// SPDX-License-Identifier: Apache-2.0

// shm-inspect: looks at the limits that the processes of this host keep in shared memory.

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>

#include "command.hpp"
#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "common/output.hpp"
#include "common/reference.hpp"
#include "config_manual.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr const char* kExitStatus =
    "The exit status is 0 if all went well; 1 if the command failed or its output could not be written;\n"
    "2 if the usage, the configuration or the name of an operation is wrong; 3 if there is no such segment;\n"
    "4 if the segment has another layout; 5 if it is damaged.";

constexpr const char* kSeeAlso =
    "# FILES\n\n_/dev/shm/weir.vLAYOUT.NAME_\n\tthe segment NAME\n\n"
    "# SEE ALSO\n\n*weir.toml*(5), *weir-run*(1), *weir-replay*(1)\n";

/// Adds the command line of a command, and has its action put into `chosen` if it is the one that is given.
void add(CLI::App& app, const Command& command, Action& chosen) {
  CLI::App& line = *app.add_subcommand(command.name, command.what);
  line.callback([&chosen, action = command.declare(line)] { chosen = action; });
}

int run(int argc, char** argv) {
  Common common;
  Action chosen;
  CLI::App app("Looks at the rate limits that the processes of this host keep in a shared-memory segment.",
               "shm-inspect");
  app.formatter(std::make_shared<HelpFormat>());  // of the commands, too
  app.set_version_flag("--version", "shm-inspect " WEIR_VERSION);
  app.add_option("--segment", common.segment,
                 "the name of the segment; by default \"weir\", or the configured name for create and check")
      ->check(kNotEmpty)
      ->envname("WEIR_SEGMENT");
  app.require_subcommand(1);
  app.fallthrough();  // so that --segment may stand after the command
  app.footer(kExitStatus);
  for (const Command& command : all_commands()) add(app, command, chosen);
  if (argc == 2 && argv[1] == std::string_view("--print-config-manual")) {
    fmt::print("{}", config_manual());
    return kDone;
  }
  if (print_reference(app, argc, argv, "*shm-inspect* [_OPTIONS_] _COMMAND_ [_ARGUMENTS_]", kSeeAlso))
    return kDone;
  refuse_empty_values(argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    refuse_unknown_command(app, argc, argv);
    throw Failure(kUsage, std::string(error.what()) + "; see shm-inspect --help");
  }
  chosen(common);
  return kDone;
}

}  // namespace
}  // namespace weir::shm_inspect

int main(int argc, char** argv) {
  return weir::tools::run_tool("shm-inspect", argc, argv, weir::shm_inspect::run);
}

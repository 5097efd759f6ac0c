// SPDX-License-Identifier: Apache-2.0
#pragma once

// How every tool treats its command line.

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weir/text.hpp"

#include "common/failure.hpp"

namespace weir::tools {

/// What an option is called in texts for people: "--watch[=S]" and not CLI11's "--watch{2}", and only names that may be
/// typed.
inline std::string option_name(const CLI::Option& option) {
  std::string name = option.get_name(false, true);
  const std::size_t value = name.find('{');
  if (value != name.npos) name.replace(value, name.find('}', value) - value + 1, "[=S]");
  return name;
}

/// The form of --help.
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    return is_positional ? CLI::Formatter::make_option_name(option, is_positional) : option_name(*option);
  }
};

/// A name is most often empty because a variable is not set (--user "$CUSTOMER"), and the tool would then act
/// on something else.
inline const CLI::Validator kNotEmpty(
    [](const std::string& value) {
      return value.empty() ? std::string("the name is empty; is a variable not set?") : std::string();
    },
    "", "not empty");

/// Refuses "--user=", which CLI11 would give the next argument as its value. Throws Failure.
inline void refuse_empty_values(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--") || argument.find('=') + 1 != argument.size()) continue;
    throw Failure(kUsage, std::string(argument.substr(0, argument.size() - 1)) +
                              ": the value is empty; is a variable not set?");
  }
}

/// If the argument in the position of the command is unknown, names the nearest command. Throws Failure.
inline void refuse_unknown_command(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const CLI::Option* const option = app.get_option_no_throw(argument.substr(0, argument.find('=')));
    if (argument.starts_with('-')) {
      const bool takes_next = option != nullptr && option->get_items_expected() > 0;
      if (takes_next && argument.find('=') == argument.npos) ++i;
      continue;
    }
    if (std::find(names.begin(), names.end(), argument) != names.end()) return;
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const std::string_view meant = nearest(argument, candidates);
    throw Failure(kUsage, "unknown command \"" + argument + "\"; " +
                              (meant.empty() ? "see " + app.get_name() + " --help"
                                             : "did you mean \"" + std::string(meant) + "\"?"));
  }
}

}  // namespace weir::tools

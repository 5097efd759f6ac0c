// SPDX-License-Identifier: Apache-2.0
#pragma once

// The manual page of a tool, as scdoc takes it, and its completion for bash. Both are made by the build, from the command
// line that the tool itself reads, so that no option can be missing in them.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

#include "common/arguments.hpp"

namespace weir::tools {

/// Text for scdoc, in which these characters would have a meaning.
inline std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\*_[]#;|~`").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

/// A block that is shown as it is.
inline std::string verbatim(std::string_view text) {
  return fmt::format("```\n{}\n```\n\n", text);
}

namespace detail {

inline std::vector<const CLI::Option*> options_of(const CLI::App& app, bool positional) {
  std::vector<const CLI::Option*> found;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty() && option->get_positional() == positional) found.push_back(option);
  }
  return found;
}

inline std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// "*--top* UINT (20 by default)" and what it means.
inline std::string described(const CLI::Option& option) {
  std::string text = "*" + plain(option.get_positional() ? option.get_name(true) : option_name(option)) + "*";
  if (!option.get_positional() && option.get_items_expected() > 0)
    text += " _" + plain(option.get_type_name()) + "_";
  std::string remarks;
  const auto add = [&](const std::string& remark) { remarks += (remarks.empty() ? "" : "; ") + remark; };
  if (option.get_required()) add("required");
  if (!option.get_envname().empty()) add("environment: " + plain(option.get_envname()));
  if (!option.get_default_str().empty()) add(plain(option.get_default_str()) + " by default");
  if (!remarks.empty()) text += " (" + remarks + ")";
  return text + "\n\t" + plain(option.get_description()) + "\n\n";
}

inline std::string described(const CLI::App& app) {
  std::string text;
  for (const bool positional : {true, false}) {
    for (const CLI::Option* option : options_of(app, positional)) text += described(*option);
  }
  return text;
}

/// "*shm-inspect user* [OPTIONS] NAME"
inline std::string usage(const std::string& name, const CLI::App& app) {
  std::string text = "*" + plain(name) + "* [_OPTIONS_]";
  for (const CLI::Option* option : options_of(app, true)) {
    const std::string argument = "_" + plain(option->get_name(true)) + "_";
    text += option->get_required() ? " " + argument : " [" + argument + "]";
  }
  return text;
}

/// The names of options that may be typed, those of flags with a value without it.
inline std::string names_of(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : options_of(app, false)) {
    for (const std::string& name : option->get_lnames()) names += (names.empty() ? "--" : " --") + name;
  }
  return names;
}

/// The options of the tool and of all commands after which another word belongs to the option.
inline std::string names_with_value(const CLI::App& app) {
  std::vector<std::string> names;
  const auto add = [&](const CLI::App& one) {
    for (const CLI::Option* option : options_of(one, false)) {
      for (const std::string& name : option->get_lnames())
        if (option->get_items_expected() > 0) names.push_back("--" + name);
    }
  };
  add(app);
  for (const CLI::App* command : commands_of(app)) add(*command);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return fmt::format("{}", fmt::join(names, " | "));
}

}  // namespace detail

/// The page in section 1. `tail` are further sections.
inline std::string manual(const CLI::App& app, std::string_view synopsis, std::string_view tail) {
  const std::string& name = app.get_name();
  const std::string about = app.get_description();
  std::string first = about.substr(0, std::min(about.find(".\n"), about.find_last_of('.')));
  first.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(first.front())));
  std::string text = fmt::format("{}(1)\n\n# NAME\n\n{} - {}\n\n# SYNOPSIS\n\n{}\n\n# DESCRIPTION\n\n{}\n\n",
                                 name, plain(name), plain(first), synopsis, plain(about));
  text += "# OPTIONS\n\n" + detail::described(app);
  const std::vector<const CLI::App*> commands = detail::commands_of(app);
  if (!commands.empty()) text += "# COMMANDS\n\n";
  for (const CLI::App* command : commands) {
    text += fmt::format("## {}\n\n{}\n\n{}.\n\n", command->get_name(),
                        detail::usage(name + " " + command->get_name(), *command),
                        plain(command->get_description()));
    text += detail::described(*command);
    if (!command->get_footer().empty()) text += verbatim(command->get_footer());
  }
  if (!app.get_footer().empty()) text += "# NOTES\n\n" + verbatim(app.get_footer());
  return text + std::string(tail);
}

/// A script for bash. After --segment it offers the segments of the host, and in other places names of files.
inline std::string completion(const CLI::App& app) {
  const std::string& name = app.get_name();
  std::string function = "_" + name;
  std::replace(function.begin(), function.end(), '-', '_');
  std::string names;
  std::string cases;
  for (const CLI::App* command : detail::commands_of(app)) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) words+=\" {}\" ;;\n", command->get_name(), detail::names_of(*command));
  }
  std::string text = fmt::format(
      "# bash completion of {0}, made from its command line by the build\n"
      "{1}() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command= i\n"
      "  local words='{2}' commands='{3}'\n"
      "  COMPREPLY=()\n"
      "  case $before in\n"
      "    --segment)\n"
      "      COMPREPLY=($(compgen -W \"$(shm-inspect list 2>/dev/null | awk 'NR > 1 {{print $1}}')\" -- "
      "\"$current\"))\n"
      "      return\n"
      "      ;;\n"
      "    {4}) return ;;\n"
      "  esac\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case ${{COMP_WORDS[i]}} in\n"
      "      {4}) ((++i)) ;;\n"
      "      -*) ;;\n"
      "      *) [[ \" $commands \" != *\" ${{COMP_WORDS[i]}} \"* ]] || {{ command=${{COMP_WORDS[i]}}; break; "
      "}} ;;\n"
      "    esac\n"
      "  done\n",
      name, function, detail::names_of(app), names, detail::names_with_value(app));
  if (!cases.empty()) text += "  case $command in\n    '') words+=\" $commands\" ;;\n" + cases + "  esac\n";
  return text + fmt::format(
                    "  [[ $current != -* && -n $command{0} ]] || COMPREPLY=($(compgen -W \"$words\" -- "
                    "\"$current\"))\n"
                    "}}\n"
                    "complete -o default -F {1} {2}\n",
                    cases.empty() ? "x" : "", function, name);
}

/// Prints one of them if that is all that the command line asks for, as the build does.
inline bool print_reference(const CLI::App& app, int argc, char** argv, std::string_view synopsis,
                            std::string_view tail) {
  const std::string_view asked = argc == 2 ? argv[1] : "";
  if (asked != "--print-manual" && asked != "--print-completion") return false;
  fmt::print("{}", asked == "--print-manual" ? manual(app, synopsis, tail) : completion(app));
  return true;
}

}  // namespace weir::tools

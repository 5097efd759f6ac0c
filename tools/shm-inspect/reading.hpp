// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all commands have in common that only look.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "command.hpp"

namespace weir::shm_inspect {

/// How something is to be shown.
struct View {
  bool json = false;
  bool colours = false;
};

/// Looks, and returns what it found as a text of whole lines. Throws Failure.
using Look = std::function<std::string(const Common&, const View&)>;

/// What a command looks at.
enum class Scope { segment, host };

/// Adds --json, described by `json_help`, and --watch, and returns the action that shows what `look` finds, once or
/// again and again.
[[nodiscard]] Action reading(CLI::App& command, const char* json_help, Look look,
                             Scope scope = Scope::segment);

}  // namespace weir::shm_inspect

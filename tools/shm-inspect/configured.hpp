// SPDX-License-Identifier: Apache-2.0
#pragma once

// The argument CONFIG of the commands that read a configuration.

#include <CLI/CLI.hpp>
#include <string>

#include "weir/config.hpp"

#include "command.hpp"

namespace weir::shm_inspect {

/// Adds the argument, a file or the word "builtin".
CLI::Option* add_config(CLI::App& command, std::string& config);

/// The configuration with the variables of the environment over it, under the name that --segment gives. Throws
/// Failure.
[[nodiscard]] LoadedConfig loaded(const std::string& config, const Common& common);

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "command.hpp"

namespace weir::shm_inspect {

/// The command `top`.
[[nodiscard]] Action top(CLI::App& command);

}  // namespace weir::shm_inspect

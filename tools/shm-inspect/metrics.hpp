// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "command.hpp"

namespace weir::shm_inspect {

/// The command `metrics`: what segments hold, for Prometheus.
[[nodiscard]] Action metrics(CLI::App& command);

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "options.hpp"

namespace weir::shm_inspect {

/// Does what the command line asks for. Throws Failure.
void run_command(const Options& options);

}  // namespace weir::shm_inspect

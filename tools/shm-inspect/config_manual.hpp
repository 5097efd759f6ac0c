// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace weir::shm_inspect {

/// The manual page weir.toml(5) as scdoc takes it: what the command `keys` prints as Markdown.
[[nodiscard]] std::string config_manual();

}  // namespace weir::shm_inspect

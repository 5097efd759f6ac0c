// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace weir::replay {

/// Tells a person what a line that is not a request looks like, and what to do about it.
[[nodiscard]] std::string hint_for(std::string_view line);

}  // namespace weir::replay

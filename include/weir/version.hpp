// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace weir {

/// The version of the headers that the caller was compiled with. CMakeLists.txt holds the same number.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace weir

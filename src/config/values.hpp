#pragma once

#include <vector>

#include "weir/config.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// The values of a written tree (of write_config()).
[[nodiscard]] std::vector<ConfigValue> values_of(const Node& written);

}  // namespace weir::detail

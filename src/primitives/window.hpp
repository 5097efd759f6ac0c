#pragma once

// What the window limits share: `limit` admissions in any span of `length`.

#include <cstdint>

#include "primitives/token_bucket.hpp"

namespace weir::detail {

struct WindowParams {
  std::uint64_t length = 0;  ///< ticks, 1 to kMaxDepthTicks
  std::uint32_t limit = 0;
};

}  // namespace weir::detail

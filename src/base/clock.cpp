// SPDX-License-Identifier: Apache-2.0
#include "weir/clock.hpp"

#include <time.h>

namespace weir {

HostClock::time_point HostClock::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail: the clock exists and the pointer is ours
  return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace weir

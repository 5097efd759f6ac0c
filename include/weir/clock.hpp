// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "weir/export.hpp"

namespace weir {

/// The clock that all processes of a host share: CLOCK_MONOTONIC, nanoseconds since boot.
///
/// It is never set back, a leap second does not stop it, and it stands still while the host is suspended. It
/// is a std::chrono clock.
struct WEIR_EXPORT HostClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<HostClock>;
  static constexpr bool is_steady = true;

  /// Cost  One vDSO call, 20 to 30 ns. Where it can, an admission reads the processor's counter instead, in
  ///       11 ns.
  [[nodiscard]] static time_point now() noexcept;
};

}  // namespace weir

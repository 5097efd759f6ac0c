// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/clock.hpp"

namespace weir::detail {

/// HostClock for the hot path. It costs half as much if the kernel itself keeps time by a counter that a process can
/// read; otherwise it is HostClock. It lags HostClock by at most TscAnchor::kMaxLagNs and is not ahead of it: see
/// tsc_anchor.hpp.
struct FastClock {
  using duration = HostClock::duration;
  using rep = HostClock::rep;
  using period = HostClock::period;
  using time_point = HostClock::time_point;
  static constexpr bool is_steady = true;

  /// Concurrency  Any thread may call it, but a signal handler must not: it could meet a half-written anchor.
  /// Order        It is not ordered with the caller's loads: the processor may read the counter while an earlier
  ///              load is still under way.
  /// Cost         One read of the counter, 12 ns; every 64 us a HostClock reading and two more reads.
  [[nodiscard]] static time_point now() noexcept;
};

}  // namespace weir::detail

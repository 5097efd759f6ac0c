#pragma once

#include "weir/clock.hpp"

namespace weir::detail {

/// HostClock for the hot path: half its cost where the kernel itself keeps time by a counter that a process
/// can read, the same clock elsewhere. Behind HostClock by TscAnchor::kMaxLagNs at most, and not ahead: see
/// there.
struct FastClock {
  using duration = HostClock::duration;
  using rep = HostClock::rep;
  using period = HostClock::period;
  using time_point = HostClock::time_point;
  static constexpr bool is_steady = true;

  /// Concurrency  any thread, but not a signal handler: it could meet its thread's anchor half moved.
  /// Order        none with the caller's loads: it may tell the time at which the processor began one.
  /// Cost         one read of the counter, 12 ns; every 64 us, HostClock and two more.
  [[nodiscard]] static time_point now() noexcept;
};

}  // namespace weir::detail

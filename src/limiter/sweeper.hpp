// SPDX-License-Identifier: Apache-2.0
#pragma once

// Returns what dead workers held: their permits of all limits, then their slots.
//
// Nobody is elected and nothing is locked: any number of sweepers may run at once, and each change is a
// compare-exchange of exactly the word that was judged, so doing it twice does nothing the second time.
//
// Crash    a sweeper killed or stopped anywhere is in nobody's way; a slot is freed last, so the next sweeper
//          finds it published and unlocked again, and does the rest.
// Cost     sweep_if_due(): a system call for each of up to 512 workers, and a cheaper one for each of the
// others;
//          one look at every permit cell and probe. If a worker is dead, a pass over the part of the user
//          table that was ever written, if users could ever hold permits. No other request waits for any of
//          this.
// Who is gone: the tenant of a slot whom the kernel and the second evidence call dead; and any owner who is
//          not the slot's tenant any more. That one was taken for dead while it lived (see registry.hpp,
//          closefrom), and took a permit since: it finds out at its next call, and its late releases
//          change nothing.

#include <cstdint>

#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "users/table.hpp"
#include "workers/registry.hpp"

namespace weir::detail {

class Sweeper {
 public:
  Sweeper(Registry& registry, const Sections& sections, const Segment& segment) noexcept
      : registry_(registry), sections_(sections), segment_(segment) {}

  /// Sweeps, unless somebody of this segment did so within the last 10 ms. @return whether anything came
  /// back.
  bool sweep_if_due(std::uint64_t now) noexcept;

  /// Sweeps now.
  ReapReport sweep() noexcept;

  /// Whether anything in the segment names this owner. Only looks.
  [[nodiscard]] bool holds(Owner owner) const noexcept;

 private:
  class DeadSet;
  std::uint64_t reclaim(const DeadSet& dead) noexcept;
  ReapReport sweep(std::uint32_t most_asked) noexcept;
  /// Whether a user could ever hold permits: what was taken before a live change stays until it comes back.
  [[nodiscard]] bool had_user_permits() const noexcept;

  Registry& registry_;
  const Sections& sections_;
  const Segment& segment_;
};

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Returns what dead workers held: their permits of all limits, then their slots.
//
// No sweeper is elected and nothing is locked: any number of them may run at once, and each change is a
// compare-exchange of exactly the word that was judged, so doing it twice does nothing the second time.
//
// Gone     an owner is gone if it is the tenant of its slot and is_dead() says that it is dead, or if it is not the
//          tenant any more. In the second case another process took it for dead while it lived (see registry.hpp,
//          closefrom), and it has taken a permit since then. It finds out at its next call, and what it releases late
//          changes nothing.
// Crash    a sweeper that is killed or stopped anywhere hinders no other process. A slot is freed last, so the next
//          sweeper finds it published and unlocked again, and does the rest.
// Cost     sweep_if_due() makes a system call for each of up to 512 workers, and a cheaper one for each of the others,
//          and looks once at every permit cell and probe. If a worker is dead, and users could ever hold permits, it
//          passes over the part of the user table that was ever written. No other request waits for any of this.

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

  /// Sweeps, unless a worker of this segment did so within the last 10 ms.
  /// @return whether anything came back.
  bool sweep_if_due(std::uint64_t now) noexcept;

  /// Sweeps now.
  ReapReport sweep() noexcept;

  /// Whether anything in the segment names this owner. Only looks.
  [[nodiscard]] bool holds(Owner owner) const noexcept;

 private:
  class DeadSet;
  std::uint64_t reclaim(DeadSet& dead) noexcept;
  ReapReport sweep(std::uint32_t most_asked) noexcept;
  /// Whether a user could ever hold permits: what was taken before a live change stays until it comes back.
  [[nodiscard]] bool had_user_permits() const noexcept;

  Registry& registry_;
  const Sections& sections_;
  const Segment& segment_;
};

}  // namespace weir::detail

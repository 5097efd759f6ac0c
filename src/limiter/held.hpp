// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an admission holds (Holding), as the words in the segment that say so.

#include <cstdint>

#include "weir/admission.hpp"
#include "weir/policy.hpp"

#include "base/owner.hpp"
#include "primitives/breaker.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

inline constexpr unsigned kHeldOwnerShift = BreakerPhase::kRestBits;
static_assert(kHeldOwnerShift == permit_word::kOwnerShift, "an owner lies alike in both kinds of cells");

[[nodiscard]] inline Owner owner_of(const Holding& holding) noexcept {
  return Owner::from_bits(holding.owner >> kHeldOwnerShift);
}

/// Which of the blocks of operations it was admitted under: the index of its breaker, and of its counters.
[[nodiscard]] inline std::uint32_t operation_index(const Holding& holding) noexcept {
  return holding.operation % kMaxOperations;
}

/// For an admission that has something to give back; of one that holds nothing these members are not written (Answer).
inline void hold_nothing(Holding& holding) noexcept {
  holding.permits = holding.user_permits = 0;
  holding.weight = 1;
  holding.call = HeldCall::none;
}

/// The word in the cell of a permit that takes one cell.
[[nodiscard]] inline std::uint64_t permit_word_of(const Holding& holding) noexcept {
  return permit_word::make(owner_of(holding), 0, holding.admitted_at);
}

/// What the call shows its breaker when it reports.
[[nodiscard]] inline BreakerTicket ticket_of(const Holding& holding) noexcept {
  const bool is_probe = (holding.owner & BreakerPhase::kRestMask) != 0;
  return {is_probe ? holding.owner : 0, holding.generation, holding.probe_cell};
}
inline void hold(Holding& holding, const BreakerTicket& ticket, HeldCall call) noexcept {
  if (ticket.probe != 0) holding.owner = ticket.probe;
  holding.generation = ticket.generation;
  holding.probe_cell = ticket.cell;
  holding.call = call;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0

// The end of an admission: its breaker hears what came of the work, then what it holds comes back. The usual end is
// inline, in LimiterImpl::finish(); here is what is rare.
//
// An admission may end in another process than the one that was admitted: a fork copies it. Then the parent's
// permits are not given back, its probe is not judged, and its call stays in flight. It may also end after other
// processes took its owner for dead and swept what it held; that is counted, and frees nothing twice.

#include <algorithm>

#include "base/fast_clock.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/held.hpp"
#include "limiter/impl.hpp"
#include "policy/events.hpp"

namespace weir {

void Admission::give_back(Outcome outcome) noexcept {
  holding_.limiter->finish(holding_, outcome);
}

}  // namespace weir

namespace weir::detail {

bool LimiterImpl::was_charged(const Holding& holding) const noexcept {
  const Owner owner = owner_of(holding);
  return holding.segment == sections().mark() && (!owner || worker_.registry().was_self(owner));
}

void LimiterImpl::report(const Holding& holding, Outcome outcome) noexcept {
  BreakerTicket ticket = ticket_of(holding);
  const Owner owner = owner_of(holding);
  const bool of_this_process = worker_.registry().was_self(owner);
  if (ticket.probe != 0 && !of_this_process) return;
  if (ticket.holds_something() && owner && !of_this_process) ticket.cell = 0;
  BreakerRecord& record = sections().breakers[operation_index(holding)];
  // Each thread reads the clock for itself: the one that reports may be behind the one that was admitted.
  const std::uint64_t now = std::max(fast_now(), holding.admitted_at);
  const BreakerTransition changed = record.breaker.report(
      record.params.load(), ticket, static_cast<BreakerOutcome>(outcome), now - holding.admitted_at, now);
  if (changed) [[unlikely]]
    write_transition(sections(), kFirstOperation + operation_index(holding), changed, now);
}

void LimiterImpl::report_and_release(const Holding& holding, Outcome outcome) noexcept {
  report(holding, outcome);
  release(holding);
}

void LimiterImpl::release_otherwise(const Holding& holding, bool still_ours) noexcept {
  if (!still_ours && !worker_.registry().was_self(owner_of(holding))) return;
  count_late(give_back(sections(), limits_.users(), holding, still_ours));
  ring_for(holding);
}

void LimiterImpl::release_rest(const Holding& holding, GivenBack done) noexcept {
  count_late(give_back_rest(sections(), limits_.users(), holding, done));
  ring_for(holding);
}

void LimiterImpl::ring_for(const Holding& holding) noexcept {
  ring_waiters(sections(), holding, fast_now());
}

void LimiterImpl::count_late(std::uint32_t late) noexcept {
  if (late == 0) return;
  const std::uint64_t before = sections().swept->late_releases.fetch_add(late, std::memory_order_relaxed);
  write_sparse_event(sections(), {.kind = EventKind::late_release, .value = before + late}, fast_now());
}

}  // namespace weir::detail

#include "limiter/count_only.hpp"

#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/user_quota.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

/// Admissions end a row of refusals here as they do where the cooldown is enforced.
bool passes_cooldown(const Context& context, std::uint32_t place, bool admitted) noexcept {
  const std::uint64_t state = cooldown_state(context, place);
  if (admitted && (state & cooldown::kCount) != 0) end_streaks(context, PlaceMask{1} << place);
  return cooldown::wait(state, context.now) == 0;
}

bool passes_shared(const Context& context, std::uint32_t place, bool admitted, Holding& holding) noexcept {
  LimitLine& line = context.ask.limits.line(place);
  switch (kind_of(place)) {
    case LimitKind::rate: {
      const auto params = packed::to_token_bucket(line.params.load(std::memory_order_relaxed));
      return TokenBucket(line.state).admit(params, context.now, context.ask.cost) == 0;
    }
    case LimitKind::window:
      return shared_window(context, place).admit(context.now, context.ask.cost) == 0;
    case LimitKind::permits: {
      SharedBulkhead bulkhead(context, place);
      return admitted ? bulkhead.take(context, holding) : bulkhead.available(context.ask);
    }
    case LimitKind::cooldown:
      return passes_cooldown(context, place, admitted);
    case LimitKind::breaker:
      break;  // counts in the course of the decision
  }
  return true;
}

bool passes_user(const Context& context, std::uint32_t place, bool admitted, Holding& holding) noexcept {
  switch (kind_of(place)) {
    case LimitKind::cooldown:
      return passes_cooldown(context, place, admitted);
    case LimitKind::permits: {
      UserBulkhead bulkhead(context, place);
      return admitted ? bulkhead.take(context, holding) : bulkhead.available(context.ask);
    }
    default:
      return UserQuota(context, place, user_rule(context, place)).spend(context) == 0;
  }
}

}  // namespace

void count_only(const Context& context, bool admitted, Holding& holding) noexcept {
  const LimitSet& limits = context.ask.limits;
  for (const std::uint32_t place : BitRange<PlaceMask>(limits.counting())) {
    const bool passes = LimitSet::is_of_users(place) ? passes_user(context, place, admitted, holding)
                                                     : passes_shared(context, place, admitted, holding);
    if (!passes) limits.line(place).would_refuse.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace weir::detail

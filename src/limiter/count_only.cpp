// SPDX-License-Identifier: Apache-2.0
#include "limiter/count_only.hpp"

#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/user_quota.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

void note(bool passes, LimitRecord& record) noexcept {
  if (!passes) record.would_refuse.fetch_add(1, std::memory_order_relaxed);
}

/// Whether the request passes. An admitted request takes permits here, so it then holds those of one more limit.
template <class Bulkhead>
bool passes(Bulkhead bulkhead, const Context& context, bool admitted, Holding& holding,
            std::uint8_t& held) noexcept {
  const std::uint32_t weight = context.request.weight;
  if (!context.owner) return false;  // as if it were enforced; and no sweep would find a permit of nobody
  if (!admitted) return bulkhead.available(context, weight);
  std::uint32_t taken = held;
  const bool passes = bulkhead.take(context, weight, holding, taken);
  held = static_cast<std::uint8_t>(taken);
  return passes;
}

/// Whether refusals in a row are counted here, which an admission ends.
bool has_row(std::uint64_t cooldown) noexcept {
  return cooldown::in_a_row(cooldown) != 0;
}

void count_shared(const Context& context, bool admitted, Holding& holding) noexcept {
  const SharedSteps& steps = context.plan->shared;
  for (const RateStep& step : steps.rates.counting()) {
    note(TokenBucket(step.record->state).admit(step.rate, context.now, context.request.cost) == 0,
         *step.record);
  }
  for (const WindowStep& step : steps.windows.counting()) {
    note(SharedWindow(step.window).admit(context.now, context.request.cost) == 0, *step.record);
  }
  for (const PermitStep& step : steps.permits.counting()) {
    note(passes(SharedBulkhead(context, step), context, admitted, holding, holding.permits), *step.record);
  }
  for (const CooldownStep& step : steps.cooldowns.counting()) {
    const std::uint64_t state = shared_cooldown(step);
    if (admitted && has_row(state)) end_shared_streak(step);
    note(cooldown::wait(state, context.now) == 0, *step.record);
  }
}

void count_users(const Context& context, bool admitted, Holding& holding) noexcept {
  const UserSteps& steps = *context.users;
  for (const UserQuotaStep& step : steps.quotas.counting()) {
    note(UserQuota(context, step, context.request.cost).spend(context) == 0, *step.record);
  }
  for (const UserPermitStep& step : steps.permits.counting()) {
    note(passes(UserBulkhead(context, step), context, admitted, holding, holding.user_permits), *step.record);
  }
  for (const CooldownStep& step : steps.cooldowns.counting()) {
    const std::uint64_t state = user_cooldown(context, step);
    if (admitted && has_row(state)) end_user_streak(context, step);
    note(cooldown::wait(state, context.now) == 0, *step.record);
  }
}

}  // namespace

void count_only(const Context& context, bool admitted, Holding& holding) noexcept {
  count_shared(context, admitted, holding);
  count_users(context, admitted, holding);
}

}  // namespace weir::detail

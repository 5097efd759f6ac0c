// SPDX-License-Identifier: Apache-2.0
#include "limiter/queues.hpp"

#include "base/futex.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/shared_rate.hpp"
#include "limiter/user_quota.hpp"

namespace weir::detail {
namespace {

std::uint32_t user_bits(std::uint64_t hash) noexcept {
  return (static_cast<std::uint32_t>(hash) & Seated::kUserMask) | 1;
}

Lacks missing_permits(const Context& context, std::uint32_t weight) noexcept {
  Lacks missing = Lacks::nothing;
  for (const PermitStep& step : context.plan->shared.permits.enforced()) {
    if (!SharedBulkhead(context, step).available(context, weight)) missing = missing | lacks_of(step.id);
  }
  for (const UserPermitStep& step : context.users->permits.enforced()) {
    if (!UserBulkhead(context, step).available(context, weight)) missing = missing | lacks_of(step.id);
  }
  return missing;
}

Lacks missing_quotas(const Context& context, std::uint32_t cost) noexcept {
  Lacks missing = Lacks::nothing;
  for (const RateStep& step : context.plan->shared.rates.enforced()) {
    if (SharedRate(context, step, cost, false, true).wait() != 0) missing = missing | lacks_of(step.id);
  }
  for (const WindowStep& step : context.plan->shared.windows.enforced()) {
    if (step.window.wait(context.now, cost) != 0) missing = missing | lacks_of(step.id);
  }
  for (const UserQuotaStep& step : context.users->quotas.enforced()) {
    if (UserQuota(context, step, cost).wait() != 0) missing = missing | lacks_of(step.id);
  }
  return missing;
}

}  // namespace

Lacks lacks_of(LimitId limit) noexcept {
  if (limit == LimitId::none) return Lacks::nothing;
  const LimitRef ref = LimitRef::of(limit);
  // Limits of one user, in place of those of every operation, hold over all operations, too.
  const bool global = ref.block == kGlobalBlock || ref.block >= kFirstOverride;
  const bool user = scope_of(ref.index) == LimitScope::user;
  switch (kind_of(ref.index)) {
    case LimitKind::permits:
      if (global) return user ? Lacks::global_user_permits : Lacks::global_permits;
      return user ? Lacks::user_permits : Lacks::permits;
    case LimitKind::rate:
    case LimitKind::window:
      if (global) return user ? Lacks::global_user_quotas : Lacks::global_quotas;
      return user ? Lacks::user_quotas : Lacks::quotas;
    default:
      return Lacks::nothing;
  }
}

Wants needs_of(const Context& context) noexcept {
  Wants needs{Lacks::nothing, context.plan->block, 0};
  const auto add = [&](const auto& steps) {
    for (const auto& step : steps.enforced()) needs.what = needs.what | lacks_of(step.id);
  };
  add(context.plan->shared.permits);
  add(context.plan->shared.rates);
  add(context.plan->shared.windows);
  add(context.users->permits);
  add(context.users->quotas);
  if ((needs.what & kOfUser) != Lacks::nothing) needs.user = user_bits(context.user.low);
  return needs;
}

Lacks lacks_now(const Context& context, bool quotas) noexcept {
  const std::uint32_t weight = context.request.weight;
  Lacks missing = missing_permits(context, weight);
  if (quotas) missing = missing | missing_quotas(context, context.request.cost);
  const Lacks of_user = missing & kOfUser;
  return of_user != Lacks::nothing ? of_user : missing;
}

Lacks left_now(const Context& context) noexcept {
  return needs_of(context).what & ~(missing_permits(context, 1) | missing_quotas(context, 1));
}

bool others_go_first(const Context& context) noexcept {
  const Wants needs = needs_of(context);
  const SeenSeat first = first_waiter(QueuesOf(context.sections, needs), {needs, context.now});
  if (!first) return false;
  const WaitingQueue own =
      queue_of(context.sections, queue_block(context.sections, context.plan->block)).waiters;
  return first.key < WaitingQueue::Now(own, context.now).key_of_newcomer(urgency_of(context.request));
}

void ring_waiters(const Sections& sections, const Wants& came_back, std::uint64_t now) noexcept {
  exchange_before_load();
  if (!sections.gate->is_open() || came_back.what == Lacks::nothing) return;
  ring_each(QueuesOf(sections, came_back), came_back, now, futex::wake);
}

void ring_waiters(const Sections& sections, const Holding& given_back, std::uint64_t now) noexcept {
  const auto came_back = [&](LimitId limit) {
    const Lacks what = lacks_of(limit);
    const bool of_user = (what & kOfUser) != Lacks::nothing;
    ring_waiters(sections, {what, LimitRef::of(limit).block, of_user ? user_bits(given_back.user[0]) : 0},
                 now);
  };
  for (std::uint32_t i = 0; i < given_back.permits; ++i) came_back(given_back.limits[i]);
  for (std::uint32_t i = 0; i < given_back.user_permits; ++i) came_back(given_back.limits_of_user[i]);
}

}  // namespace weir::detail

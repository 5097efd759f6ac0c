// SPDX-License-Identifier: Apache-2.0
#include "limiter/queues.hpp"

#include "base/futex.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/shared_rate.hpp"
#include "limiter/user_quota.hpp"

namespace weir::detail {
namespace {

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
  if ((needs.what & kOfUser) != Lacks::nothing) needs.user = user_in_seat(UserTable::tag_hash(context.user));
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
  const std::uint32_t user = user_in_seat(UserTable::tag_hash({given_back.user[0], given_back.user[1]}));
  const auto came_back = [&](LimitId limit) {
    const Lacks what = lacks_of(limit);
    const bool of_user = (what & kOfUser) != Lacks::nothing;
    ring_waiters(sections, {what, LimitRef::of(limit).block, of_user ? user : 0}, now);
  };
  for (std::uint32_t i = 0; i < given_back.permits; ++i) came_back(given_back.limits[i]);
  for (std::uint32_t i = 0; i < given_back.user_permits; ++i) came_back(given_back.limits_of_user[i]);
}

}  // namespace weir::detail

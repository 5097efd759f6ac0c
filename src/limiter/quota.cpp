// SPDX-License-Identifier: Apache-2.0
#include "limiter/quota.hpp"

#include <algorithm>

#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"
#include "primitives/lease.hpp"

namespace weir::detail {
namespace {

std::chrono::nanoseconds to_duration(std::uint64_t ticks) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns_from_ticks(ticks)));
}

/// How long it takes until one token more than `quota.remaining` is there.
/// @param wait  says, for any kind of limit, in how many ticks a request of a cost conforms.
template <class Wait>
std::chrono::nanoseconds more_in(const Quota& quota, Wait&& wait) {
  if (quota.remaining >= quota.quota) return {};
  const std::uint64_t ticks = wait(quota.remaining + 1);
  return ticks == kNever ? quota.reset : to_duration(ticks);
}

/// A quota with what the configuration says of it.
Quota configured(const Context& context, LimitId id) {
  const Sections& sections = context.sections;
  const LimitRef ref = LimitRef::of(id);
  const std::uint64_t params =
      sections.blocks[ref.block].limits[ref.index].params.load(std::memory_order_relaxed);
  const bool rate = kind_of(ref.index) == LimitKind::rate;
  Quota quota{id, limit_name(sections.blocks, ref)};
  quota.per_user = scope_of(ref.index) == LimitScope::user;
  quota.quota = rate ? packed::to_token_bucket(params).burst : packed::to_window(params).limit;
  quota.window =
      to_duration(rate ? packed::to_token_bucket(params).depth() : packed::to_window(params).length());
  return quota;
}

Quota quota_of(const Context& context, const RateStep& step) {
  Quota quota = configured(context, step.id);
  const std::uint64_t now = context.now;
  const std::uint64_t tat = step.record->state.load(std::memory_order_relaxed);
  const std::uint64_t judged =
      leased_word::judged(tat, step.record->leased().load(std::memory_order_relaxed), step.terms);
  const Lease* const lease = context.lease_of(step);
  quota.remaining =
      std::max(gcra::available(step.rate, judged, now), lease != nullptr ? lease->left(now) : 0);
  quota.reset = to_duration(gcra::debt(step.rate, judged, now));
  quota.more_in =
      more_in(quota, [&](std::uint32_t cost) { return gcra::wait(step.rate, judged, now, cost); });
  return quota;
}

Quota quota_of(const Context& context, const WindowStep& step) {
  Quota quota = configured(context, step.id);
  quota.remaining = step.window.available(context.now);
  quota.reset = to_duration(step.window.full_in(context.now));
  quota.more_in = more_in(quota, [&](std::uint32_t cost) { return step.window.wait(context.now, cost); });
  return quota;
}

Quota quota_of(const Context& context, const UserQuotaStep& step) {
  Quota quota = configured(context, step.id);
  const std::uint64_t now = context.now;
  const UserTable::Found found = context.user_table.find(context.key, entry_of(step.id));
  const std::uint64_t state = found.entry != nullptr ? found.state : step.rule.at_rest(now);
  quota.remaining = step.rule.available(state, now);
  quota.reset = to_duration(step.rule.debt(state, now));
  quota.more_in = more_in(quota, [&](std::uint32_t cost) { return step.rule.wait(state, now, cost); });
  return quota;
}

}  // namespace

std::vector<Quota> quotas_of(const Context& context) {
  std::vector<Quota> quotas;
  const auto add_all = [&](auto steps) {
    for (const auto& step : steps) quotas.push_back(quota_of(context, step));
  };
  add_all(context.plan->shared.rates.enforced());
  add_all(context.plan->shared.windows.enforced());
  add_all(context.users->quotas.enforced());
  std::ranges::sort(quotas, {}, &Quota::limit);
  return quotas;
}

}  // namespace weir::detail

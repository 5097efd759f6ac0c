// SPDX-License-Identifier: Apache-2.0
#include "limiter/quota.hpp"

#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"

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

}  // namespace

Quota quota_of(const Sections& sections, const UserTable& users, const UserKey& key, LimitRef ref,
               std::uint64_t now) {
  LimitRecord& record = sections.blocks[ref.block].limits[ref.index];
  const std::uint64_t params = record.params.load(std::memory_order_relaxed);
  const bool rate = kind_of(ref.index) == LimitKind::rate;
  Quota quota{ref.id(), limit_name(sections.blocks, ref)};
  quota.per_user = scope_of(ref.index) == LimitScope::user;
  quota.quota = rate ? packed::to_token_bucket(params).burst : packed::to_window(params).limit;
  quota.window =
      to_duration(rate ? packed::to_token_bucket(params).depth() : packed::to_window(params).length());
  if (quota.per_user) {
    const UserRule rule = UserRule::of(sections, ref);
    const UserTable::Found found = users.find(key, {static_cast<std::uint16_t>(ref.id()), 0});
    const std::uint64_t state = found.entry != nullptr ? found.state : rule.at_rest(now);
    quota.remaining = rule.available(state, now);
    quota.reset = to_duration(rule.debt(state, now));
    quota.more_in = more_in(quota, [&](std::uint32_t cost) { return rule.wait(state, now, cost); });
  } else if (rate) {
    const std::uint64_t tat = record.state.load(std::memory_order_relaxed);
    const TokenBucketParams bucket = packed::to_token_bucket(params);
    quota.remaining = gcra::available(bucket, tat, now);
    quota.reset = to_duration(gcra::debt(bucket, tat, now));
    quota.more_in = more_in(quota, [&](std::uint32_t cost) { return gcra::wait(bucket, tat, now, cost); });
  } else {
    const SharedWindow window(record, sections.window_cells, sections.created_wall_ns);
    quota.remaining = window.available(now);
    quota.reset = to_duration(window.full_in(now));
    quota.more_in = more_in(quota, [&](std::uint32_t cost) { return window.wait(now, cost); });
  }
  return quota;
}

}  // namespace weir::detail

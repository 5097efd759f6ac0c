// SPDX-License-Identifier: Apache-2.0
#include "policy/compile.hpp"

#include "policy/breakers.hpp"
#include "policy/params.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {
namespace {

Mode shadow_if(bool shadow) {
  return shadow ? Mode::shadow : Mode::enforced;
}

LimitValue value_of(const Rate& rate) {
  return {packed::rate(rate), rate.count, static_cast<std::uint64_t>(rate.period.count()), rate.mode};
}

WindowKind chosen(const Window& window, LimitScope scope) {
  if (window.kind != WindowKind::automatic) return window.kind;
  if (scope == LimitScope::user) return WindowKind::weighted;
  return window.limit <= kMaxPermits ? WindowKind::log : WindowKind::ring;
}

LimitValue value_of(const Window& window, LimitScope scope) {
  return {packed::window({window.limit, chosen(window, scope), whole_ms(window.length)}), 0, 0, window.mode};
}

LimitValue value_of(const Cooldown& cooldown) {
  if (cooldown.length.count() == 0) return {};
  return {packed::cooldown({cooldown.refusals, whole_ms(cooldown.length)}), 0, 0, shadow_if(cooldown.shadow)};
}

void compile_into(BlockValue& block, const Limits& limits, LimitScope scope) {
  const std::uint32_t first = scope == LimitScope::user ? kScopeLimits : 0;
  for (std::uint32_t i = 0; i < limits.rates.size(); ++i) {
    block[first + kFirstRate + i] = value_of(limits.rates[i]);
    block[first + kFirstRate + i].order = i;
    block[first + kFirstRate + i].lease = limits.rates[i].lease;
  }
  for (std::uint32_t i = 0; i < limits.windows.size(); ++i) {
    block[first + kFirstWindow + i] = value_of(limits.windows[i], scope);
    block[first + kFirstWindow + i].order = i;
  }
  block[first + kPermits] = {limits.concurrent.limit, 0, 0, shadow_if(limits.concurrent.shadow)};
  block[first + kPermitsCandidate] = {limits.concurrent.candidate, 0, 0, Mode::candidate};
  block[first + kCooldown] = value_of(limits.cooldown);
}

}  // namespace

Config canonical(Config config) {
  const auto limits = [](Limits& of, LimitScope scope) {
    for (Window& window : of.windows) window.kind = chosen(window, scope);
    for (Rate& rate : of.rates) rate.burst = packed::to_token_bucket(value_of(rate).params).burst;
  };
  const auto operation = [&](OperationPolicy& policy) {
    limits(policy.shared, LimitScope::shared);
    limits(policy.user, LimitScope::user);
    if (policy.breaker) policy.breaker = to_policy(to_params(*policy.breaker, 0), policy.breaker->shadow);
  };
  operation(config.global);
  for (auto& entry : config.operations) operation(entry.second);
  for (auto& entry : config.users) limits(entry.second.limits, LimitScope::user);
  return config;
}

BlockValue compile(const OperationPolicy& policy) {
  BlockValue block{};
  compile_into(block, policy.shared, LimitScope::shared);
  compile_into(block, policy.user, LimitScope::user);
  if (policy.breaker) block[kBreaker] = {1, 0, 0, shadow_if(policy.breaker->shadow)};
  // A queue without seats keeps the rest of what was configured, for a change that gives it some.
  if (policy.queue != Queue{}) block[kQueue] = {packed::queue(policy.queue)};
  return block;
}

BlockValue compile(const UserOverride& user) {
  BlockValue block{};
  if (!user.exempt) compile_into(block, user.limits, LimitScope::user);
  return block;
}

}  // namespace weir::detail

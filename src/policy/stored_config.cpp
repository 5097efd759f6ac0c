// SPDX-License-Identifier: Apache-2.0
#include "policy/stored_config.hpp"

#include <chrono>
#include <utility>

#include "policy/block_names.hpp"
#include "policy/breakers.hpp"
#include "policy/compile.hpp"
#include "policy/events.hpp"
#include "policy/params.hpp"
#include "policy/write_block.hpp"

namespace weir::detail {

void store_breaker(const Sections& sections, std::uint32_t block, const std::optional<Breaker>& breaker) {
  if (!breaker) return;
  BreakerRecord& record = sections.breaker(block);
  const BreakerParams params = to_params(*breaker, sections.seed + block);
  const BreakerKind kind = breaker->shadow ? BreakerKind::metrics_only : BreakerKind::closed;
  const Block& here = sections.blocks[block];
  const bool was_there = here.presence(std::memory_order_relaxed).has(kBreaker);
  const bool same_mode = (mode_of(here, kBreaker) != Mode::enforced) == breaker->shadow;
  record.breaker.watch(params.slow_rate != 0);
  // crash here: calls in flight begin or cease to count before the new slow rate holds; the next change writes both.
  const BreakerParams before = record.params.load();
  const bool same = to_policy(before, breaker->shadow) == *breaker && before.recovery != 0;
  if (was_there && same && same_mode) return;
  if (!same) record.params.store(params);
  // crash here: the new thresholds judge the old counts until the next change.
  if (was_there && same_mode && is_switched(record.breaker.status(params, 0).kind, breaker->shadow)) return;
  const BreakerTransition done = record.breaker.set(kind);
  if (was_there) write_transition(sections, block, done, 0, ask_process_mark());
}

void store_config(const Sections& sections, const Config& config, const KeyHasher& hasher) {
  // The sections were sized for this configuration, so none of these can fail.
  (void)write_block(sections, kGlobalBlock, compile(config.global), 0);
  for (const auto& [name, policy] : config.operations) {
    std::uint32_t taken = 0;
    const auto block = block_for(sections, Family::operations, name, hasher(name), taken);
    if (!block) continue;
    store_breaker(sections, *block, policy.breaker);
    (void)write_block(sections, *block, compile(policy), 0);
    publish_block(sections, Family::operations, hasher(name), *block);
  }
  for (const auto& [key, user] : config.users) {
    std::uint32_t taken = 0;
    const auto block = block_for(sections, Family::overrides, key, hasher(key), taken);
    if (!block) continue;
    (void)write_block(sections, *block, compile(user), 0);
    sections.blocks[*block].exempt.store(user.exempt ? 1 : 0, std::memory_order_relaxed);
    publish_block(sections, Family::overrides, hasher(key), *block);
  }
}

namespace {

Limits read_limits(const Block& block, LimitScope scope) {
  const std::uint32_t first = scope == LimitScope::user ? kScopeLimits : 0;
  const Presence presence = block.presence(std::memory_order_acquire);
  const auto params = [&](std::uint32_t index) {
    return block.limits[index].params.load(std::memory_order_relaxed);
  };
  Limits limits;
  for (const std::uint32_t index : in_order(block, presence, masks::kRates << first)) {
    limits.rates.push_back(rate_of(block, index));
  }
  for (const std::uint32_t index : in_order(block, presence, masks::kWindows << first)) {
    const packed::WindowParams window = packed::to_window(params(index));
    limits.windows.push_back(
        {window.limit, std::chrono::milliseconds(window.length_ms), window.kind, mode_of(block, index)});
  }
  if (presence.has(first + kPermits)) {
    limits.concurrent.limit = static_cast<std::uint32_t>(params(first + kPermits));
    limits.concurrent.shadow = presence.counts_only(first + kPermits);
  }
  if (presence.has(first + kPermitsCandidate)) {
    limits.concurrent.candidate = static_cast<std::uint32_t>(params(first + kPermitsCandidate));
  }
  if (presence.has(first + kCooldown)) {
    const packed::CooldownParams cooldown = packed::to_cooldown(params(first + kCooldown));
    limits.cooldown = {std::chrono::milliseconds(cooldown.length_ms), cooldown.refusals,
                       presence.counts_only(first + kCooldown)};
  }
  return limits;
}

}  // namespace

template <bool kWritable>
Config load_config(const BasicSections<kWritable>& sections, std::string_view segment_name) {
  Config config;
  config.segment = segment_policy(sections.settings, segment_name);
  const auto read = [&](std::uint32_t block_index) {
    const Block& block = sections.blocks[block_index];
    OperationPolicy policy{
        read_limits(block, LimitScope::shared), read_limits(block, LimitScope::user), {}, {}};
    const Presence presence = block.presence(std::memory_order_relaxed);
    if (presence.has(kQueue))
      policy.queue = packed::to_queue(block.limits[kQueue].params.load(std::memory_order_relaxed));
    if (presence.has(kBreaker) && block_index != kGlobalBlock) {
      const bool shadow = mode_of(block, kBreaker) != Mode::enforced;
      policy.breaker = to_policy(sections.breaker(block_index).params.load(), shadow);
    }
    return policy;
  };
  config.global = read(kGlobalBlock);
  for (std::uint32_t i = 0; i < sections.operations(); ++i) {
    if (sections.blocks[kFirstOperation + i].presence(std::memory_order_acquire).retired()) continue;
    config.operations[read_name(sections.blocks[kFirstOperation + i].name)] = read(kFirstOperation + i);
  }
  for (std::uint32_t i = 0; i < sections.overrides(); ++i) {
    const Block& block = sections.blocks[kFirstOverride + i];
    if (block.presence(std::memory_order_acquire).retired()) continue;
    UserOverride user{false, read_limits(block, LimitScope::user)};
    // Limits hold whatever the word says: a change that ended the exemption may have been killed before it said so.
    user.exempt = user.limits == Limits{} && block.exempt.load(std::memory_order_relaxed) != 0;
    config.users[read_name(block.name)] = std::move(user);
  }
  return config;
}
template Config load_config(const Sections& sections, std::string_view segment_name);
template Config load_config(const SectionsView& sections, std::string_view segment_name);

}  // namespace weir::detail

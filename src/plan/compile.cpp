// SPDX-License-Identifier: Apache-2.0
#include "plan/compile.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>

#include "policy/queues.hpp"

namespace weir::detail {
namespace {

/// A block whose limits of one scope are compiled.
struct Source {
  std::uint32_t block;
  Presence presence;
};

Source source(const Sections& sections, std::uint32_t block) noexcept {
  // sync(present): acquire; pairs with write_block(), so a record is filled if its bit is seen.
  return {block, sections.blocks[block].presence(std::memory_order_acquire)};
}

/// Calls visit(LimitRef, LimitRecord&, bool counts_only) for the records of a mask that are limits: first for those
/// that are enforced, block by block, then for those that only count.
template <class Visit>
void for_each_limit(const Sections& sections, std::span<const Source> sources, LimitMask among,
                    Visit&& visit) noexcept {
  for (const bool counts_only : {false, true}) {
    for (const Source& source : sources) {
      const LimitMask limits = counts_only ? source.presence.counting() : source.presence.enforced();
      for (const std::uint32_t index : LimitIndices(limits & among)) {
        visit(LimitRef{source.block, index}, sections.blocks[source.block].limits[index], counts_only);
      }
    }
  }
}

std::uint64_t params_of(const LimitRecord& record) noexcept {
  return record.params.load(std::memory_order_relaxed);
}

CooldownStep cooldown_step(LimitRef ref, LimitRecord& record) noexcept {
  const packed::CooldownParams params = packed::to_cooldown(params_of(record));
  return {&record, {params.refusals, params.length()}, ref.id()};
}

PermitStep permit_step(const Sections& sections, LimitRef ref, LimitRecord& record) noexcept {
  // sync(reach): acquire; pairs with write_block(), so permit_cells() reaches at least as far as this limit.
  const auto limit = static_cast<std::uint32_t>(record.params.load(std::memory_order_acquire));
  const Permits permits(permit_cells(record, limit, sections.permit_cells));
  return {&record, permits, permits.first_in(sections.permit_cells), limit, ref.id(), FirstLook(limit)};
}

UserPermitStep user_permit_step(LimitRef ref, LimitRecord& record) noexcept {
  const std::uint64_t params = record.params.load(std::memory_order_acquire);  // sync(reach)
  const auto limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(params, kMaxUserPermits));
  return {&record, limit, permit_parts(record, limit), ref.id()};
}

RateStep rate_step(LimitRef ref, LimitRecord& record, LeasePool& leases) noexcept {
  const std::uint64_t params = params_of(record);
  const TokenBucketParams rate = packed::to_token_bucket(params);
  const LeaseTerms terms = lease_terms(record, rate);
  std::atomic_thread_fence(std::memory_order_acquire);  // sync(changed): pairs with write_block()
  const std::uint64_t changed = record.changed.load(std::memory_order_relaxed);
  return {&record, rate, ref.id(), terms.any() ? leases.of(ref.id(), params, changed) : nullptr, terms};
}

SharedSteps compile_shared(const Sections& sections, std::span<const Source> sources,
                           LeasePool& leases) noexcept {
  SharedSteps steps;
  const auto each = [&](LimitMask among, auto&& visit) { for_each_limit(sections, sources, among, visit); };
  each(masks::kRates, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    steps.rates.add(rate_step(ref, record, leases), counts_only);
  });
  each(masks::kBulkheads, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    steps.permits.add(permit_step(sections, ref, record), counts_only);
  });
  each(masks::kWindows, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    const SharedWindow window(record, sections.window_cells, sections.created_wall_ns);
    steps.windows.add({&record, window, ref.id()}, counts_only);
  });
  each(masks::kCooldowns, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    steps.cooldowns.add(cooldown_step(ref, record), counts_only);
  });
  steps.rare = !steps.windows.enforced().empty() || !steps.cooldowns.enforced().empty();
  steps.more_than_rates = steps.rare || !steps.permits.enforced().empty();
  return steps;
}

UserSteps compile_user(const Sections& sections, std::span<const Source> sources) noexcept {
  UserSteps steps;
  const auto each = [&](LimitMask among, auto&& visit) {
    for_each_limit(sections, sources, among << kScopeLimits, visit);
  };
  // Enforced rates and windows must come before those that only count, so each kind is visited twice.
  const auto add_quota = [&](bool of_counting) {
    for (const LimitMask kind : {masks::kRates, masks::kWindows}) {
      each(kind, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
        if (counts_only == of_counting)
          steps.quotas.add({&record, UserRule::of(sections, ref), ref.id()}, counts_only);
      });
    }
  };
  add_quota(false);
  add_quota(true);
  each(masks::kBulkheads, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    steps.permits.add(user_permit_step(ref, record), counts_only);
  });
  each(masks::kCooldowns, [&](LimitRef ref, LimitRecord& record, bool counts_only) {
    steps.cooldowns.add(cooldown_step(ref, record), counts_only);
  });
  steps.rare = !steps.cooldowns.enforced().empty();
  return steps;
}

bool has_counting(const SharedSteps& steps) noexcept {
  return steps.rates.counting().size() + steps.permits.counting().size() + steps.windows.counting().size() +
             steps.cooldowns.counting().size() !=
         0;
}
bool has_counting(const UserSteps& steps) noexcept {
  return steps.quotas.counting().size() + steps.permits.counting().size() +
             steps.cooldowns.counting().size() !=
         0;
}

/// The limit of permits that comes first, over all callers or else of each user.
LimitId first_permits(const Plan& plan) noexcept {
  const auto shared = plan.shared.permits.enforced();
  if (!shared.empty()) return shared.front().id;
  const auto of_user = plan.user.permits.enforced();
  return of_user.empty() ? LimitId::none : of_user.front().id;
}

}  // namespace

Plan compile_plan(const Sections& sections, std::uint32_t block, std::uint32_t handle,
                  LeasePool& leases) noexcept {
  Plan plan;
  plan.handle = handle;
  const std::array sources{source(sections, kGlobalBlock), source(sections, block)};
  const Presence own = sources[1].presence;
  plan.block = block;
  plan.tenancy =
      static_cast<std::uint32_t>(sections.blocks[block].tenancy.load(std::memory_order_acquire) & 0xff);
  plan.retired = own.retired();
  if (plan.retired) return plan;
  plan.overrides = sections.overrides() != 0;
  plan.has_queue = queue_of(sections, queue_block(sections, block)).usable != 0;
  plan.shared = compile_shared(sections, sources, leases);
  if (own.has(kBreaker)) {
    plan.shared.breaker = &sections.breaker(block);
    plan.shared.breaker_id = LimitRef{block, kBreaker}.id();
    plan.shared.breaker_counts_only_rows = plan.shared.breaker->counts_only_rows();
    plan.shared.more_than_rates = true;
  }
  plan.user = compile_user(sections, sources);
  plan.waits_for = first_permits(plan);
  plan.of_users = plan.overrides || !plan.user.empty();
  plan.counting = has_counting(plan.shared) || has_counting(plan.user);
  plan.heeds_refusals = plan.counting || plan.overrides || !plan.shared.cooldowns.all().empty() ||
                        !plan.user.cooldowns.all().empty();
  return plan;
}

UserSteps compile_override(const Sections& sections, std::uint32_t block) noexcept {
  const std::array sources{source(sections, block)};
  return compile_user(sections, sources);
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "limiter/afterwards.hpp"

#include <algorithm>
#include <span>

#include "limiter/user_changes.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

void overdraw_user(const Context& context, const UserQuotaStep& step) noexcept {
  const Overdraw change{{UserChangeBase(context), LimitRef::of(step.id), context.request.cost}};
  context.user_table.update(context.key, entry_of(step.id), change);
}

/// The debt of a rate, of all callers or of a user, after a refund.
///
/// What was spent under another rate cannot be told in tokens of this one. It stays spent, but counts as no more than
/// an empty bucket. While a live change is being written, the rate of the plan may be another one, too.
///
/// Call it after the debt was read; the record and the clock are read here, after that. If the process is stopped from
/// then on, while the rate changes and other requests spend, its exchange meets another debt than the one that it read.
std::uint64_t after_refund_of_rate(const Context& context, const LimitRecord& record, const UserRule& of_plan,
                                   std::uint64_t tat, std::uint64_t charged_at) noexcept {
  const TokenBucketParams rate = packed::to_token_bucket(record.params.load(std::memory_order_relaxed));
  const bool changed = record.changed_since(charged_at) || UserRule::rate(rate) != of_plan;
  const std::uint64_t now = context.clock();
  if (changed) return gcra::clamped(rate, tat, now);
  return gcra::refunded(rate, tat, now, context.request.cost, charged_at);
}

/// Whether an admission at `charged_at` was charged under this limit for certain. It was not if the block got a limit
/// since then, or was given to another operation or user; nor, under a limit of each user, if a user had limits of its
/// own and lost them: that may have been this one.
bool was_charged_under(const Context& context, LimitId id, std::uint64_t charged_at) noexcept {
  const auto is_before = [=](const Word& since) {
    return since.load(std::memory_order_acquire) < std::max<std::uint64_t>(charged_at, 1);
  };
  const LimitRef ref = LimitRef::of(id);
  if (!is_before(context.sections.blocks[ref.block].limits_since)) return false;
  return scope_of(ref.index) == LimitScope::shared ||
         is_before(context.sections.blocks[kGlobalBlock].overrides_since);
}

/// The fixed window that is furthest over its limit.
class FurthestOver {
 public:
  explicit FurthestOver(const Context& context) noexcept : context_(context) {}

  void counted(LimitId id, fixed_window::Count count, std::uint32_t limit) noexcept {
    const auto over = [](std::uint32_t counted, std::uint32_t of) { return std::int64_t{counted} - of; };
    if (most_ && over(most_->count, most_->of) >= over(count.count, limit)) return;
    const std::chrono::nanoseconds expires(static_cast<std::int64_t>(
        context_.sections.created_wall_ns + ns_from_ticks(context_.now + count.expires_in)));
    using std::chrono::system_clock;
    most_ = {id, count.count, limit,
             system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(expires))};
  }
  [[nodiscard]] std::optional<WindowCount> most() const noexcept { return most_; }

 private:
  const Context& context_;
  std::optional<WindowCount> most_;
};

/// The cooldown that stands in the same block as a limit.
struct Beside {
  const CooldownStep* step = nullptr;
  bool enforced = false;
};
template <std::size_t N>
Beside beside(const Steps<CooldownStep, N>& cooldowns, LimitId limit) noexcept {
  const auto of_same_block = [&](const CooldownStep& step) {
    return LimitRef::of(step.id).block == LimitRef::of(limit).block;
  };
  for (const CooldownStep& step : cooldowns.enforced()) {
    if (of_same_block(step)) return {&step, true};
  }
  for (const CooldownStep& step : cooldowns.counting()) {
    if (of_same_block(step)) return {&step, false};
  }
  return {};
}

}  // namespace

void charge(const Context& context) noexcept {
  for (const RateStep& step : context.plan->shared.rates.all()) {
    TokenBucket(step.record->state).charge(step.rate, context.now, context.request.cost);
  }
  for (const WindowStep& step : context.plan->shared.windows.all()) {
    SharedWindow(step.window).charge(context.now, context.request.cost);
  }
  for (const UserQuotaStep& step : context.users->quotas.all()) overdraw_user(context, step);
}

void refund(const Context& context, std::uint64_t charged_at) noexcept {
  for (const RateStep& step : context.plan->shared.rates.enforced()) refund(context, step, charged_at);
  for (const WindowStep& step : context.plan->shared.windows.enforced()) refund(context, step, charged_at);
  for (const UserQuotaStep& step : context.users->quotas.enforced()) refund(context, step, charged_at);
}

void refund_admission(const Context& context, std::uint64_t charged_at) noexcept {
  const auto refund_all = [&](auto steps) {
    for (const auto& step : steps) {
      if (was_charged_under(context, step.id, charged_at)) refund(context, step, charged_at);
    }
  };
  refund_all(context.plan->shared.rates.enforced());
  refund_all(context.plan->shared.windows.enforced());
  refund_all(context.users->quotas.enforced());
}

void refund(const Context& context, const RateStep& step, std::uint64_t charged_at) noexcept {
  TokenBucket(step.record->state).update([&](std::uint64_t tat) {
    // A token of a lease was charged before it was spent, by up to the length of the lease. It is not known which
    // tokens were.
    const bool leased = step.record->leased().load(std::memory_order_relaxed) != 0;
    const std::uint64_t earlier = leased ? std::min(step.terms.length, charged_at) : 0;
    return after_refund_of_rate(context, *step.record, UserRule::rate(step.rate), tat, charged_at - earlier);
  });
}

void refund(const Context& context, const WindowStep& step, std::uint64_t charged_at) noexcept {
  SharedWindow(step.window).refund(context.clock(), context.request.cost, charged_at);
}

void refund(const Context& context, const UserQuotaStep& step, std::uint64_t charged_at) noexcept {
  context.user_table.modify(context.key, entry_of(step.id), nullptr, [&](std::uint64_t state) {
    if (step.rule.is_rate())
      return std::optional(after_refund_of_rate(context, *step.record, step.rule, state, charged_at));
    const UserRule rule = UserRule::of(context.sections, LimitRef::of(step.id));
    return std::optional(rule.refunded(state, context.clock(), context.request.cost, charged_at));
  });
}

std::optional<WindowCount> count_in_fixed_windows(const Context& context) noexcept {
  FurthestOver furthest(context);
  for (const WindowStep& step : context.plan->shared.windows.all()) {
    if (!step.window.is_fixed()) continue;
    furthest.counted(step.id, SharedWindow(step.window).add(context.now, context.request.cost),
                     step.window.limit());
  }
  for (const UserQuotaStep& step : context.users->quotas.all()) {
    if (step.rule.kind() != UserRule::Kind::fixed) continue;
    overdraw_user(context, step);
    const std::uint64_t state = context.user_table.find(context.key, entry_of(step.id)).state;
    furthest.counted(step.id, step.rule.count_in_fixed_window(state, context.now), step.rule.limit());
  }
  return furthest.most();
}

std::uint64_t note_refusal(const Context& context, LimitId refused_by) noexcept {
  const bool user = scope_of(LimitRef::of(refused_by).index) == LimitScope::user;
  const Beside cooldown = user ? beside(context.users->cooldowns, refused_by)
                               : beside(context.plan->shared.cooldowns, refused_by);
  if (cooldown.step == nullptr) return 0;
  if (user) {
    const NoteRefusal change{UserChangeBase(context), cooldown.step->params};
    const auto outcome = context.user_table.update(context.key, entry_of(cooldown.step->id), change);
    return cooldown.enforced && outcome != UserTable::Outcome::full ? change.wait : 0;
  }
  const std::uint64_t wait =
      CooldownWord(cooldown.step->record->state).refuse(cooldown.step->params, context.now);
  return cooldown.enforced ? wait : 0;
}

void end_shared_streak(const CooldownStep& step) noexcept {
  CooldownWord(step.record->state).admit();
}

void end_user_streak(const Context& context, const CooldownStep& step) noexcept {
  context.user_table.modify(context.key, entry_of(step.id), nullptr, [](std::uint64_t state) {
    return cooldown::in_a_row(state) != 0 ? std::optional(cooldown::admitted(state)) : std::nullopt;
  });
}

}  // namespace weir::detail

#include "limiter/decide.hpp"

#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>

#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/user_quota.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

void refuse(Decision& decision, Verdict verdict, std::uint64_t wait, LimitId limit) noexcept {
  const bool never = wait == kNever;
  decision = {never && verdict == Verdict::throttled ? Verdict::never : verdict, limit,
              std::chrono::nanoseconds(never ? 0 : ns_from_ticks(wait))};
}

/// The refusal that takes longest; the first of equals. No wait helps a `never`; a permit may be free at any
/// moment.
class Longest {
 public:
  void wait(std::uint64_t ticks, LimitId id, Verdict verdict = Verdict::throttled) noexcept {
    if (ticks > wait_) wait_ = ticks, id_ = id, verdict_ = verdict;
  }
  void no_permit(LimitId id) noexcept {
    if (shed_ == LimitId::none) shed_ = id;
  }
  /// As if this limit had been met before the others: it is named where both take equally long.
  void wait_first(std::uint64_t ticks, LimitId id) noexcept {
    if (ticks != 0 && ticks >= wait_) wait_ = ticks, id_ = id, verdict_ = Verdict::throttled;
  }
  [[nodiscard]] bool passes() const noexcept { return wait_ == 0 && shed_ == LimitId::none; }

  void tell(Decision& decision) const noexcept {
    if (wait_ != 0) return refuse(decision, verdict_, wait_, id_);
    refuse(decision, Verdict::shed, 0, shed_);
  }

 private:
  std::uint64_t wait_ = 0;
  LimitId id_ = LimitId::none;
  LimitId shed_ = LimitId::none;
  Verdict verdict_ = Verdict::throttled;
};

/// A rate over all callers, as a request meets it.
class SharedRate {
 public:
  [[gnu::always_inline]] SharedRate(const Context& context, const RateStep& step) noexcept
      : step_(&step),
        seen_(step.record->state.load(std::memory_order_relaxed)),
        judged_(gcra::judge(step.rate, seen_, context.now, context.cost)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until the request conforms.
  std::uint64_t spend(const Context& context) const noexcept {
    Word& tat = step_->record->state;
    std::uint64_t seen = seen_;
    if (tat.compare_exchange(seen, judged_.charged, std::memory_order_relaxed)) [[likely]]
      return 0;
    return TokenBucket(tat).admit(step_->rate, context.now, context.cost);
  }

 private:
  const RateStep* step_;
  std::uint64_t seen_;
  gcra::Judgement judged_;
};

/// How many limits of each kind an admission was charged under, the first ones of their lists.
struct Spent {
  std::size_t rates = 0;
  std::size_t quotas = 0;
  std::size_t windows = 0;
};

/// Takes back what was spent, and what is held.
void undo_all(const Context& context, const Spent& spent, Holding& holding) noexcept {
  const auto refund_all = [&](auto steps, std::size_t count) {
    for (const auto& step : steps.first(count)) refund(context, step, context.now);
  };
  refund_all(context.plan->shared.rates.enforced(), spent.rates);
  refund_all(context.users->quotas.enforced(), spent.quotas);
  refund_all(context.plan->shared.windows.enforced(), spent.windows);
  if (holding.has_call) {
    const BreakerTicket ticket{holding.call.probe, holding.call.generation, holding.call.cell};
    BreakerRecord& record = *context.plan->shared.breaker;
    if (ticket.holds_something())
      record.breaker.report(record.params.load(), ticket, BreakerOutcome::ignored, 0, context.now);
  }
  holding.has_call = false;
  give_back(context.sections, context.user_table, holding);
  holding.permits = holding.user_permits = 0;
}

/// What looking at N limits of one kind has met, made where it stays: what is not met costs nothing.
template <class T, std::size_t N>
class Met {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  Met() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the bytes alone
  Met(const Met&) = delete;
  Met& operator=(const Met&) = delete;

  template <class Step>
  [[gnu::always_inline]] T& look(std::size_t i, const Context& context, const Step& step) noexcept {
    return *::new (static_cast<void*>(bytes_ + i * sizeof(T))) T(context, step);
  }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return reinterpret_cast<T*>(bytes_)[i]; }

 private:
  alignas(T) std::byte bytes_[N * sizeof(T)];  // NOLINT(modernize-avoid-c-arrays)
};

/// One request on its way through its limits: what looking has met saves the charge a search.
class Attempt {
 public:
  explicit Attempt(const Context& context) noexcept
      : context_(context),
        shared_(context.plan->shared),
        users_(*context.users),
        more_than_rates_(shared_.more_than_rates || context.users != &kNoUserSteps) {}

  /// @return whether the request passes; else `decision` says why not.
  [[gnu::always_inline]] bool look(Decision& decision) noexcept {
    if (more_than_rates_) look_at_others();
    look_at_rates();
    if (longest_.passes()) [[likely]]
      return true;
    longest_.tell(decision);
    return false;
  }

  /// Charges, unless somebody was faster: `decision` says which.
  [[gnu::always_inline]] void charge(Decision& decision, Holding& holding) noexcept {
    holding.permits = holding.user_permits = 0;
    holding.has_call = false;
    holding.owner = static_cast<std::uint32_t>(context_.owner.bits());
    holding.weight = context_.weight;
    holding.segment = context_.sections.mark();
    holding.admitted_at = context_.now;
    if (!spend_rates(decision) || (more_than_rates_ && !charge_others(decision, holding))) [[unlikely]]
      return undo_all(context_, spent_, holding);
    decision.verdict = Verdict::admitted;
    decision.limit = LimitId::none;
    decision.retry_after = {};
    decision.probe = more_than_rates_ && holding.has_call && holding.call.probe != 0;
  }

 private:
  [[gnu::always_inline]] void look_at_others() noexcept {
    const auto permits = shared_.permits.enforced();
    for (std::size_t i = 0; i < permits.size(); ++i) look_at(permits_.look(i, context_, permits[i]));
    const auto of_user = users_.permits.enforced();
    for (std::size_t i = 0; i < of_user.size(); ++i) look_at(user_permits_.look(i, context_, of_user[i]));
    if (shared_.breaker != nullptr) look_at_breaker();
    const auto quotas = users_.quotas.enforced();
    for (std::size_t i = 0; i < quotas.size(); ++i) {
      const UserQuota& quota = quotas_.look(i, context_, quotas[i]);
      longest_.wait(quota.wait(), quota.id());
    }
    if (shared_.rare || users_.rare) [[unlikely]]
      look_at_rare();
  }

  template <class Bulkhead>
  [[gnu::always_inline]] void look_at(const Bulkhead& bulkhead) noexcept {
    if (context_.weight > bulkhead.limit()) [[unlikely]]
      longest_.wait(kNever, bulkhead.id());
    if (!bulkhead.available(context_)) [[unlikely]]
      longest_.no_permit(bulkhead.id());
  }

  [[gnu::always_inline]] void look_at_breaker() noexcept {
    BreakerRecord& record = *shared_.breaker;
    unguarded_ = record.breaker.unguarded();
    if (unguarded_) [[likely]]
      return;
    const BreakerAnswer answer = record.breaker.check(record.params.load(), context_.now);
    const bool ownerless = answer.probe && !context_.owner;
    longest_.wait(ownerless ? kWaitWithoutOwner : answer.wait, shared_.breaker_id, Verdict::circuit_open);
  }

  [[gnu::noinline]] void look_at_rare() noexcept {
    for (const WindowStep& step : shared_.windows.enforced()) {
      longest_.wait(step.window.wait(context_.now, context_.cost), step.id);
    }
    for (const CooldownStep& step : shared_.cooldowns.enforced()) look_at(step, shared_cooldown(step));
    for (const CooldownStep& step : users_.cooldowns.enforced()) look_at(step, user_cooldown(context_, step));
  }
  void look_at(const CooldownStep& step, std::uint64_t state) noexcept {
    longest_.wait(cooldown::wait(state, context_.now), step.id, Verdict::blocked);
  }

  // Last, since everybody writes these words; the first of them is named if several take equally long.
  [[gnu::always_inline]] void look_at_rates() noexcept {
    const auto rates = shared_.rates.enforced();
    std::uint64_t wait = 0;
    LimitId id = LimitId::none;
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const SharedRate& rate = rates_.look(i, context_, rates[i]);
      if (rate.wait() > wait) [[unlikely]]
        wait = rate.wait(), id = rate.id();
    }
    longest_.wait_first(wait, id);
  }

  [[gnu::always_inline]] bool spend_rates(Decision& decision) noexcept {
    const std::size_t count = shared_.rates.enforced().size();
    for (std::size_t i = 0; i < count; ++i) {
      if (const std::uint64_t wait = rates_[i].spend(context_); wait != 0) [[unlikely]]
        return refused(decision, Verdict::throttled, wait, rates_[i].id());
      spent_.rates = i + 1;
    }
    return true;
  }

  [[gnu::always_inline]] bool charge_others(Decision& decision, Holding& holding) noexcept {
    for (std::size_t i = 0; i < shared_.permits.enforced().size(); ++i) {
      if (!permits_[i].take(context_, holding)) [[unlikely]]
        return refused(decision, Verdict::shed, 0, permits_[i].id());
    }
    for (std::size_t i = 0; i < users_.permits.enforced().size(); ++i) {
      if (!user_permits_[i].take(context_, holding)) [[unlikely]]
        return refused(decision, Verdict::shed, 0, user_permits_[i].id());
    }
    if (unguarded_) [[likely]] {
      holding.call = {0, unguarded_->generation, 0};
      holding.has_call = true;
    } else if (shared_.breaker != nullptr) {
      if (const std::uint64_t wait = begin_call(holding); wait != 0)
        return refused(decision, Verdict::circuit_open, wait, shared_.breaker_id);
    }
    for (std::size_t i = 0; i < users_.quotas.enforced().size(); ++i) {
      if (const std::uint64_t wait = quotas_[i].spend(context_); wait != 0) [[unlikely]]
        return refused(decision, Verdict::throttled, wait, quotas_[i].id());
      spent_.quotas = i + 1;
    }
    return !(shared_.rare || users_.rare) || charge_rare(decision);
  }

  // An admission ends the rows of refusals that cooldowns count.
  [[gnu::noinline]] bool charge_rare(Decision& decision) noexcept {
    for (const WindowStep& step : shared_.windows.enforced()) {
      const std::uint64_t wait = SharedWindow(step.window).admit(context_.now, context_.cost);
      if (wait != 0) return refused(decision, Verdict::throttled, wait, step.id);
      ++spent_.windows;
    }
    for (const CooldownStep& step : shared_.cooldowns.enforced()) end_shared_streak(step);
    for (const CooldownStep& step : users_.cooldowns.enforced()) {
      if ((user_cooldown(context_, step) & cooldown::kCount) != 0) end_user_streak(context_, step);
    }
    return true;
  }

  static bool refused(Decision& decision, Verdict verdict, std::uint64_t wait, LimitId id) noexcept {
    refuse(decision, verdict, wait, id);
    return false;
  }

  /// @return 0: the call has begun; else the ticks until it may.
  [[gnu::noinline]] std::uint64_t begin_call(Holding& holding) noexcept {
    BreakerRecord& record = *shared_.breaker;
    const BreakerAdmission call = record.breaker.admit(record.params.load(), context_.now, context_.owner);
    if (!call) return call.wait;
    holding.call = {call.ticket.probe, call.ticket.generation, call.ticket.cell};
    holding.has_call = true;
    return 0;
  }

  const Context& context_;
  const SharedSteps& shared_;
  const UserSteps& users_;
  bool more_than_rates_;
  Spent spent_;
  Longest longest_;
  std::optional<BreakerTicket> unguarded_;  ///< of a breaker that lets everybody through
  Met<SharedBulkhead, 2 * kPlanScopes> permits_;
  Met<UserBulkhead, 2 * kPlanScopes> user_permits_;
  Met<SharedRate, kPlanScopes * kMaxRates> rates_;
  Met<UserQuota, kPlanScopes*(kMaxRates + kWindowRecords)> quotas_;
};

}  // namespace

void decide(const Context& context, Decision& decision, Holding& holding) noexcept {
  Attempt attempt(context);
  if (attempt.look(decision)) attempt.charge(decision, holding);
}

void take_back(const Context& context, Holding& holding) noexcept {
  const SharedSteps& shared = context.plan->shared;
  const Spent all{shared.rates.enforced().size(), context.users->quotas.enforced().size(),
                  shared.windows.enforced().size()};
  undo_all(context, all, holding);
}

Decision peek(const Context& context) noexcept {
  Decision decision;
  Attempt(context).look(decision);
  return decision;
}

}  // namespace weir::detail

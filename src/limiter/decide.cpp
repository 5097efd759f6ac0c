#include "limiter/decide.hpp"

#include <optional>

#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/step_list.hpp"
#include "limiter/user_quota.hpp"
#include "policy/shared_window.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

using PlaceRange = BitRange<PlaceMask>;

constexpr PlaceMask kSharedBulkheads = places::of_all(lines::kBulkheads);
constexpr PlaceMask kUserBulkheads = places::of_each(lines::kBulkheads);
constexpr PlaceMask kSharedRates = places::of_all(lines::kRates);
constexpr PlaceMask kUserRates = places::of_each(lines::kRates);
constexpr PlaceMask kSharedWindows = places::of_all(lines::kWindows);
constexpr PlaceMask kUserWindows = places::of_each(lines::kWindows);
constexpr PlaceMask kCooldowns = places::of_all(lines::kCooldowns) | places::of_each(lines::kCooldowns);

[[gnu::always_inline]] inline TokenBucketParams rate_of(const Context& context,
                                                        std::uint32_t place) noexcept {
  return packed::to_token_bucket(context.ask.limits.line(place).params.load(std::memory_order_relaxed));
}

void refuse(Decision& decision, Verdict verdict, std::uint64_t wait, LimitId limit) noexcept {
  const bool never = wait == kNever;
  decision = {never && verdict == Verdict::throttled ? Verdict::never : verdict, limit,
              std::chrono::nanoseconds(never ? 0 : ns_from_ticks(wait))};
}

/// The refusal that takes longest; the first of equals. No wait helps a `never`; a permit may be free at any
/// moment.
class Longest {
 public:
  void wait(std::uint64_t ticks, std::uint32_t place, Verdict verdict = Verdict::throttled) noexcept {
    if (ticks > wait_) wait_ = ticks, place_ = place, verdict_ = verdict;
  }
  void no_permit(std::uint32_t place) noexcept {
    if (shed_ == kNone) shed_ = place;
  }
  /// As if `first` had been met before: it is named where both take equally long.
  void put_before(const Longest& first) noexcept {
    if (first.wait_ >= wait_) wait_ = first.wait_, place_ = first.place_, verdict_ = first.verdict_;
  }
  /// Whether there is none.
  [[nodiscard]] bool passes() const noexcept { return wait_ == 0 && shed_ == kNone; }

  void tell(Decision& decision, const LimitSet& limits) const noexcept {
    if (wait_ != 0) return refuse(decision, verdict_, wait_, limits.id(place_));
    refuse(decision, Verdict::shed, 0, limits.id(shed_));
  }

 private:
  static constexpr std::uint32_t kNone = 64;
  std::uint64_t wait_ = 0;
  std::uint32_t place_ = kNone;
  std::uint32_t shed_ = kNone;
  Verdict verdict_ = Verdict::throttled;
};

/// A rate over all users, as a request meets it.
class SharedRate {
 public:
  SharedRate(const Context& context, std::uint32_t place) noexcept
      : tat_(&context.ask.limits.line(place).state),
        seen_(tat_->load(std::memory_order_relaxed)),
        judged_(gcra::judge(rate_of(context, place), seen_, context.now, context.ask.cost)),
        place_(place) {}

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until the request conforms.
  std::uint64_t spend(const Context& context) const noexcept {
    std::uint64_t seen = seen_;
    if (tat_->compare_exchange(seen, judged_.charged, std::memory_order_relaxed)) [[likely]]
      return 0;
    return TokenBucket(*tat_).admit(rate_of(context, place_), context.now, context.ask.cost);
  }

 private:
  Word* tat_;
  std::uint64_t seen_;
  gcra::Judgement judged_;
  std::uint32_t place_;
};

/// Takes back what was spent in some places, and what is held.
void undo_all(const Context& context, PlaceMask spent, Holding& holding) noexcept {
  for (const std::uint32_t place : PlaceRange(spent)) refund(context, place, context.now);
  const BreakerTicket ticket{holding.call.probe, holding.call.generation, holding.call.cell};
  if (holding.has_call && ticket.holds_something()) {
    BreakerRecord& record = context.sections.breaker(context.ask.limits.operation());
    record.breaker.report(record.params.load(), ticket, BreakerOutcome::ignored, 0, context.now);
  }
  holding.has_call = false;
  give_back(context.sections, context.users, holding);
  holding.permits = holding.user_permits = 0;
}

/// One request on its way through its limits: what looking has met saves the charge a search.
class Attempt {
 public:
  explicit Attempt(const Context& context) noexcept
      : context_(context), limits_(context.ask.limits), enforced_(limits_.enforced()) {}

  /// @return whether the request passes; else `decision` says why not.
  [[gnu::always_inline]] bool look(Decision& decision) noexcept {
    for (const std::uint32_t place : PlaceRange(enforced_ & kSharedBulkheads)) {
      look_at(shared_bulkheads_.emplace(context_, place),
              [&](const SharedBulkhead& bulkhead) { return bulkhead.available(context_.ask); });
    }
    for (const std::uint32_t place : PlaceRange(enforced_ & kUserBulkheads)) {
      look_at(user_bulkheads_.emplace(context_, place),
              [&](const UserBulkhead& bulkhead) { return bulkhead.available(context_.ask); });
    }
    if (has_breaker()) look_at_breaker();
    for (const std::uint32_t place : PlaceRange(enforced_ & kUserRates)) {
      look_at(user_quotas_.emplace(context_, place, UserRule::rate(rate_of(context_, place))));
    }
    if ((enforced_ & (kUserWindows | kSharedWindows | kCooldowns)) != 0) look_at_rest();
    Longest of_rates;
    for (const std::uint32_t place : PlaceRange(enforced_ & kSharedRates)) {
      of_rates.wait(shared_rates_.emplace(context_, place).wait(), place);
    }
    if (!of_rates.passes()) [[unlikely]]
      longest_.put_before(of_rates);
    if (longest_.passes() && !limits_.retired()) [[likely]]
      return true;
    if (limits_.retired()) {
      decision = {Verdict::invalid, LimitId::none, {}};
    } else {
      longest_.tell(decision, limits_);
    }
    return false;
  }

  /// Charges, unless somebody was faster: `decision` says which.
  void charge(Decision& decision, Holding& holding) noexcept {
    const Ask& ask = context_.ask;
    holding.owner = static_cast<std::uint32_t>(ask.owner.bits());
    holding.weight = ask.weight;
    holding.segment = context_.sections.mark();
    holding.user = {ask.user.low, ask.user.high};
    holding.admitted_at = context_.now;
    holding.permits = holding.user_permits = 0;
    holding.has_call = false;
    if (!charge_all(decision, holding)) [[unlikely]]
      return undo(holding);
    decision.verdict = Verdict::admitted;
    decision.limit = LimitId::none;
    decision.retry_after = {};
    decision.probe = holding.has_call && holding.call.probe != 0;
    if (streaks_ != 0) end_streaks(context_, streaks_);
  }

 private:
  /// Also one that only counts: it is told of every call.
  [[nodiscard]] bool has_breaker() const noexcept {
    return ((enforced_ | limits_.counting()) & places::kBreakers) != 0;
  }
  [[nodiscard]] BreakerRecord& breaker() const noexcept {
    return context_.sections.breaker(limits_.operation());
  }
  [[nodiscard]] SharedWindow window(std::uint32_t place) const noexcept {
    return shared_window(context_, place);
  }

  template <class Bulkhead, class Available>
  void look_at(const Bulkhead& bulkhead, Available&& available) noexcept {
    if (context_.ask.weight > bulkhead.limit()) longest_.wait(kNever, bulkhead.place());
    if (!available(bulkhead)) longest_.no_permit(bulkhead.place());
  }

  void look_at(const UserQuota& quota) noexcept { longest_.wait(quota.wait(), quota.place()); }

  [[gnu::always_inline]] void look_at_breaker() noexcept {
    BreakerRecord& record = breaker();
    unguarded_ = record.breaker.unguarded();
    if (unguarded_) [[likely]]
      return;
    const BreakerAnswer answer = record.breaker.check(record.params.load(), context_.now);
    const bool ownerless = answer.probe && !context_.ask.owner;
    longest_.wait(ownerless ? kWaitWithoutOwner : answer.wait, kBreakerPlace, Verdict::circuit_open);
  }

  [[gnu::noinline]] void look_at_rest() noexcept {
    for (const std::uint32_t place : PlaceRange(enforced_ & kUserWindows)) {
      look_at(user_quotas_.emplace(context_, place, user_rule(context_, place)));
    }
    for (const std::uint32_t place : PlaceRange(enforced_ & kSharedWindows)) {
      longest_.wait(window(place).wait(context_.now, context_.ask.cost), place);
    }
    for (const std::uint32_t place : PlaceRange(enforced_ & kCooldowns)) {
      const std::uint64_t state = cooldown_state(context_, place);
      longest_.wait(cooldown::wait(state, context_.now), place, Verdict::blocked);
      if ((state & cooldown::kCount) != 0) streaks_ |= PlaceMask{1} << place;
    }
  }

  bool charge_all(Decision& decision, Holding& holding) noexcept {
    const auto refused = [&](Verdict verdict, std::uint64_t wait, std::uint32_t place) {
      refuse(decision, verdict, wait, limits_.id(place));
      return false;
    };
    for (const SharedRate& rate : shared_rates_) {
      if (const std::uint64_t wait = rate.spend(context_); wait != 0)
        return refused(Verdict::throttled, wait, rate.place());
      spent_ |= PlaceMask{1} << rate.place();
    }
    for (SharedBulkhead& bulkhead : shared_bulkheads_) {
      if (!bulkhead.take(context_, holding)) return refused(Verdict::shed, 0, bulkhead.place());
    }
    for (const UserBulkhead& bulkhead : user_bulkheads_) {
      if (!bulkhead.take(context_, holding)) return refused(Verdict::shed, 0, bulkhead.place());
    }
    if (unguarded_) {
      holding.call = {0, unguarded_->generation, 0};
      holding.has_call = true;
    } else if (has_breaker()) {
      if (const std::uint64_t wait = begin_call(holding); wait != 0)
        return refused(Verdict::circuit_open, wait, kBreakerPlace);
    }
    for (const UserQuota& quota : user_quotas_) {
      if (const std::uint64_t wait = quota.spend(context_); wait != 0)
        return refused(Verdict::throttled, wait, quota.place());
      spent_ |= PlaceMask{1} << quota.place();
    }
    for (const std::uint32_t place : PlaceRange(enforced_ & kSharedWindows)) {
      const std::uint64_t wait = window(place).admit(context_.now, context_.ask.cost);
      if (wait != 0) return refused(Verdict::throttled, wait, place);
      spent_ |= PlaceMask{1} << place;
    }
    return true;
  }

  /// @return 0: the call has begun; else the ticks until it may.
  std::uint64_t begin_call(Holding& holding) noexcept {
    BreakerRecord& record = breaker();
    const BreakerAdmission call =
        record.breaker.admit(record.params.load(), context_.now, context_.ask.owner);
    if (!call) return call.wait;
    holding.call = {call.ticket.probe, call.ticket.generation, call.ticket.cell};
    holding.has_call = true;
    return 0;
  }

  [[gnu::noinline]] void undo(Holding& holding) noexcept { undo_all(context_, spent_, holding); }

  static constexpr std::uint32_t kBreakerPlace = kBlockLines + kBreaker;

  const Context& context_;
  const LimitSet& limits_;
  PlaceMask enforced_;
  PlaceMask spent_ = 0;
  PlaceMask streaks_ = 0;  ///< cooldowns that count refusals in a row
  Longest longest_;
  std::optional<BreakerTicket> unguarded_;  ///< of a breaker that lets everybody through
  StepList<SharedBulkhead, 4> shared_bulkheads_;
  StepList<UserBulkhead, 4> user_bulkheads_;
  StepList<SharedRate, 2UL * kMaxRates> shared_rates_;
  StepList<UserQuota, 2UL * (kMaxRates + kWindowLines)> user_quotas_;
};

}  // namespace

void decide(const Context& context, Decision& decision, Holding& holding) noexcept {
  Attempt attempt(context);
  if (attempt.look(decision)) attempt.charge(decision, holding);
}

void take_back(const Context& context, Holding& holding) noexcept {
  undo_all(context, context.ask.limits.enforced() & places::kQuotas, holding);
}

Decision peek(const Context& context) noexcept {
  Decision decision;
  Attempt(context).look(decision);
  return decision;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "limiter/decide.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/queues.hpp"
#include "limiter/refusals.hpp"
#include "limiter/shape.hpp"
#include "limiter/shared_rate.hpp"
#include "limiter/user_quota.hpp"
#include "policy/events.hpp"

namespace weir::detail {
namespace {

/// How many limits of each kind an admission was charged under, the first ones of their lists.
struct Spent {
  std::uint8_t rates;
  std::uint8_t quotas;
  std::uint8_t windows;
};

/// Takes back what was spent, and what is held.
[[gnu::noinline]] void undo_all(const Context& context, Spent spent, Holding& holding) noexcept {
  const auto refund_all = [&](auto steps, std::size_t count) {
    for (const auto& step : steps.first(count)) refund(context, step, context.now);
  };
  refund_all(context.plan->shared.rates.enforced(), spent.rates);
  refund_all(context.users->quotas.enforced(), spent.quotas);
  refund_all(context.plan->shared.windows.enforced(), spent.windows);
  if (holding.call != HeldCall::none) {
    const BreakerTicket ticket = ticket_of(holding);
    BreakerRecord& record = *context.plan->shared.breaker;
    if (ticket.holds_something())
      record.breaker.report(record.params.load(), ticket, BreakerOutcome::ignored, 0, context.now);
  }
  holding.call = HeldCall::none;
  (void)give_back(context.sections, context.user_table, holding);
  holding.permits = holding.user_permits = 0;
  // For a moment they were lacked by waiters that looked. It is not known which of the cells of a weight had been taken.
  ring_waiters(context.sections, needs_of(context), context.now);
}

/// What looking at N limits of one kind has found. Each result is constructed in its place, and places that are not used
/// cost nothing.
template <class T, std::size_t N>
class Met {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  template <class... Of>
  WEIR_INLINE T& look(std::size_t i, const Of&... of) noexcept {
    return *::new (static_cast<void*>(&slots_[i].met)) T(of...);
  }
  [[nodiscard]] WEIR_INLINE T& operator[](std::size_t i) noexcept { return slots_[i].met; }

 private:
  union Slot {
    Slot() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the bytes alone
    T met;
  };
  std::array<Slot, N> slots_;
};

// What is rare is in functions of its own that take values only, so that the usual path keeps its own in registers.

[[gnu::cold, gnu::noinline]] void note_transition(const Context& context,
                                                  const BreakerTransition& transition) noexcept {
  write_transition(context.sections, context.plan->block, transition, context.now);
}

[[gnu::noinline]] std::uint64_t wait_of_breaker(const Context& context) noexcept {
  BreakerRecord& record = *context.plan->shared.breaker;
  const BreakerAnswer answer =
      record.breaker.check(record.params.load(), context.now,
                           [&](const BreakerTransition& tripped) { note_transition(context, tripped); });
  return answer.probe && !context.owner ? kWaitWithoutOwner : answer.wait;
}

/// Begins a call that wait_of_breaker() let pass. @return 0: it has begun; else the ticks until it may.
[[gnu::noinline]] std::uint64_t begin_call(const Context& context, Decision& decision,
                                           Holding& holding) noexcept {
  BreakerRecord& record = *context.plan->shared.breaker;
  const BreakerAdmission call =
      record.breaker.admit_checked(record.params.load(), context.now, context.owner);
  if (call.transition) [[unlikely]]
    note_transition(context, call.transition);
  if (!call) return call.wait;
  hold(holding, call.ticket, HeldCall::of_outcome);
  decision.probe = call.ticket.probe != 0;
  return 0;
}

// These two get references to what AnyShape keeps in memory: a small struct that is written member by member and handed
// over in a register is read before it has left the store buffer, which takes as long as an exchange.

/// @return whether a cooldown of the user counts refusals in a row, which an admission ends.
[[gnu::noinline]] bool look_at_rare(const Context& context, Longest& longest) noexcept {
  const auto look_at = [&](const CooldownStep& step, std::uint64_t state) {
    longest.wait(cooldown::wait(state, context.now), step.id, Verdict::blocked);
  };
  for (const WindowStep& step : context.plan->shared.windows.enforced()) {
    longest.wait(step.window.wait(context.now, context.request.cost), step.id);
  }
  for (const CooldownStep& step : context.plan->shared.cooldowns.enforced())
    look_at(step, shared_cooldown(step));
  bool has_row = false;
  for (const CooldownStep& step : context.users->cooldowns.enforced()) {
    const std::uint64_t state = user_cooldown(context, step);
    look_at(step, state);
    has_row |= cooldown::in_a_row(state) != 0;
  }
  return has_row;
}

/// An admission ends the rows of refusals that cooldowns count.
/// @param windows   counts the windows that were charged.
/// @param user_row  whether look_at_rare() met a row of the user.
/// @return whether all were.
[[gnu::noinline]] bool charge_rare(const Context& context, Decision& decision, std::uint8_t& windows,
                                   bool user_row) noexcept {
  for (const WindowStep& step : context.plan->shared.windows.enforced()) {
    const std::uint64_t wait = SharedWindow(step.window).admit(context.now, context.request.cost);
    if (wait != 0) {
      refuse(decision, Verdict::throttled, wait, step.id);
      return false;
    }
    ++windows;
  }
  for (const CooldownStep& step : context.plan->shared.cooldowns.enforced()) end_shared_streak(step);
  if (!user_row) return true;
  for (const CooldownStep& step : context.users->cooldowns.enforced()) end_user_streak(context, step);
  return true;
}

/// One request on its way through its limits. What looking has found is kept, so that charging need not search again.
/// @tparam Refusals  what is noted of limits that refuse: Longest or AnyRefusal.
template <class Shape, class Refusals = Longest>
class Attempt {
 public:
  WEIR_INLINE explicit Attempt(const Context& context) noexcept
      : context_(context), shared_(context.plan->shared), users_(*context.users), shape_(context) {}

  /// @return whether the request passes; else refusals() says why not.
  WEIR_INLINE bool look() noexcept {
    return (shape_.only_rates() || look_at_others()) && look_at_rates() && refusals_.passes();
  }
  [[nodiscard]] const Refusals& refusals() const noexcept { return refusals_; }

  /// Charges all limits, or none if one of them refuses after all: `decision` then says which.
  WEIR_INLINE Answer charge(Decision& decision, Holding& holding) noexcept {
    holding.admitted_at = context_.now;
    holding.owner = context_.owner.bits() << kHeldOwnerShift;
    holding.segment = context_.sections.mark();
    if (!shape_.never_holds()) {
      hold_nothing(holding);
      holding.weight = static_cast<std::uint16_t>(std::min(shape_.weight(), kMaxPermits));
    }
    const bool all = spend_rates(decision) && (shape_.only_rates() || charge_others(decision, holding));
    if (!shape_.never_holds()) {
      holding.permits = static_cast<std::uint8_t>(permits_taken_);
      holding.user_permits = static_cast<std::uint8_t>(user_permits_taken_);
    }
    if (!all) [[unlikely]] {
      if (shape_.never_holds()) hold_nothing(holding);
      undo_all(context_, {rates_spent_, quotas_spent_, windows_spent_}, holding);
      return Answer::refused;
    }
    if (shape_.never_holds()) return Answer::admitted;
    if (shape_.counting()) return Answer::admitted_uncounted;
    return shape_.breaker() || permits_taken_ + user_permits_taken_ != 0 ? Answer::admitted_holding
                                                                         : Answer::admitted;
  }

 private:
  // Each says whether to look on.
  WEIR_INLINE bool look_at_others() noexcept {
    const bool on = shape_.permits().each([&](std::size_t i) WEIR_INLINE {
      return look_at(permits_.look(i, context_, shared_.permits.all()[i]));
    }) && shape_.user_permits().each([&](std::size_t i) WEIR_INLINE {
      return look_at(user_permits_.look(i, context_, users_.permits.all()[i]));
    }) && (!shape_.breaker() || look_at_breaker()) &&
                    shape_.quotas().each([&](std::size_t i) WEIR_INLINE {
                      const UserQuota& quota = quotas_.look(i, context_, users_.quotas.all()[i],
                                                            shape_.cost(), shape_.rates_in_ticks());
                      return refusals_.wait(quota.wait(), quota.id());
                    });
    if constexpr (std::is_same_v<Refusals, Longest>) {
      if (shape_.rare()) [[unlikely]]
        user_row_ = look_at_rare(context_, refusals_);
    }
    return on;
  }

  template <class Bulkhead>
  WEIR_INLINE bool look_at(const Bulkhead& bulkhead) noexcept {
    if (shape_.has_owner() && bulkhead.available(context_, shape_.weight())) [[likely]]
      return true;
    return shape_.weight() > bulkhead.limit() ? refusals_.wait(kNever, bulkhead.id())
                                              : refusals_.no_permit(bulkhead.id());
  }

  WEIR_INLINE bool look_at_breaker() noexcept {
    unguarded_ = shared_.breaker->breaker.unguarded();
    if (unguarded_) [[likely]]
      return true;
    return refusals_.wait(wait_of_breaker(context_), shared_.breaker_id, Verdict::circuit_open);
  }

  // Rates over all users come last, since all callers write their words. They are walked backwards, since of those that
  // take equally long the first is named.
  WEIR_INLINE bool look_at_rates() noexcept {
    return shape_.rates().each_backwards([&](std::size_t i) WEIR_INLINE {
      const SharedRate& rate = rates_.look(i, context_, shared_.rates.all()[i], shape_.cost(),
                                           shape_.rates_in_ticks(), shape_.leases());
      return refusals_.wait_first(rate.wait(), rate.id());
    });
  }

  WEIR_INLINE bool spend_rates(Decision& decision) noexcept {
    return shape_.rates().each([&](std::size_t i) WEIR_INLINE {
      if (const std::uint64_t wait = rates_[i].spend(context_, shape_.cost(), shape_.leases()); wait != 0)
          [[unlikely]] {
        return refused(decision, Verdict::throttled, wait, rates_[i].id());
      }
      ++rates_spent_;
      return true;
    });
  }

  WEIR_INLINE bool charge_others(Decision& decision, Holding& holding) noexcept {
    const bool has_permits = shape_.permits().each([&](std::size_t i) WEIR_INLINE {
      if (permits_[i].take(context_, shape_.weight(), holding, permits_taken_)) [[likely]]
        return true;
      return refused(decision, Verdict::shed, 0, permits_[i].id());
    });
    if (!has_permits) return false;
    const bool has_permits_of_user = shape_.user_permits().each([&](std::size_t i) WEIR_INLINE {
      if (user_permits_[i].take(context_, shape_.weight(), holding, user_permits_taken_)) [[likely]]
        return true;
      return refused(decision, Verdict::shed, 0, user_permits_[i].id());
    });
    if (!has_permits_of_user) return false;
    if (shape_.breaker()) {
      if (unguarded_) [[likely]] {
        hold(holding, *unguarded_,
             shared_.breaker_counts_only_rows ? HeldCall::of_failure : HeldCall::of_outcome);
      } else if (const std::uint64_t wait = begin_call(context_, decision, holding); wait != 0) {
        return refused(decision, Verdict::circuit_open, wait, shared_.breaker_id);
      }
    }
    const bool has_quotas = shape_.quotas().each([&](std::size_t i) WEIR_INLINE {
      const std::uint64_t wait = quotas_[i].spend(context_, shape_.rates_in_ticks());
      if (wait != 0) [[unlikely]]
        return refused(decision, Verdict::throttled, wait, quotas_[i].id());
      ++quotas_spent_;
      return true;
    });
    if (!has_quotas) return false;
    return !shape_.rare() || charge_rare(context_, decision, windows_spent_, user_row_);
  }

  WEIR_INLINE static bool refused(Decision& decision, Verdict verdict, std::uint64_t wait,
                                  LimitId id) noexcept {
    refuse(decision, verdict, wait, id);
    return false;
  }

  const Context& context_;
  const SharedSteps& shared_;
  const UserSteps& users_;
  [[no_unique_address]] Shape shape_;
  std::uint8_t rates_spent_ = 0;
  std::uint8_t quotas_spent_ = 0;
  std::uint8_t windows_spent_ = 0;
  bool user_row_ = false;  ///< as of look_at_rare()
  std::uint32_t permits_taken_ = 0;
  std::uint32_t user_permits_taken_ = 0;
  [[no_unique_address]] Refusals refusals_;
  std::optional<BreakerTicket> unguarded_;  ///< of a breaker that lets every call through
  Met<SharedBulkhead, decltype(std::declval<Shape>().permits())::kMost> permits_;
  Met<UserBulkhead, decltype(std::declval<Shape>().user_permits())::kMost> user_permits_;
  Met<SharedRate, decltype(std::declval<Shape>().rates())::kMost> rates_;
  Met<UserQuota, decltype(std::declval<Shape>().quotas())::kMost> quotas_;
};

template <class Shape>
[[gnu::noinline]] Answer decide_as(const Context& context, Decision& decision, Holding& holding) noexcept {
  Attempt<Shape> attempt(context);
  if (attempt.look()) [[likely]]
    return attempt.charge(decision, holding);
  attempt.refusals().tell(decision);
  return Answer::refused;
}

/// The same for many limits: as long as none of them refuses, it does not matter which one takes longest.
template <class Shape>
Answer decide_many_as(const Context& context, Decision& decision, Holding& holding) noexcept {
  Attempt<Shape, AnyRefusal> attempt(context);
  return attempt.look() ? attempt.charge(decision, holding) : decide_as<Shape>(context, decision, holding);
}

/// The way of deciding for an operation that a live change took out.
Answer decide_retired(const Context& /*context*/, Decision& decision, Holding& /*holding*/) noexcept {
  decision.verdict = Verdict::invalid;
  return Answer::refused;
}

/// The way by the first shape that fits, or else by AnyShape.
template <class... Shapes>
Decide* way_of(const SharedSteps& shared, const UserSteps& users) noexcept {
  Decide* way = &decide;
  ((Shapes::fits(shared, users) &&
    (way = Shapes::never_holds() ? &decide_as<Shapes> : &decide_many_as<Shapes>, true)) ||
   ...);
  return way;
}

// The numbers are those of rates, permits, permits of the user, and rates and windows of the user; then whether there
// is a breaker.
template <bool kLeases>
using OneRate = Shape<1, 0, 0, 0, false, kLeases>;
template <bool kLeases>
using TwoRates = Shape<2, 0, 0, 0, false, kLeases>;
using UserRate = Shape<0, 0, 0, 1, false>;
template <bool kLeases>
using RateAndUserRate = Shape<1, 0, 0, 1, false, kLeases>;
template <bool kLeases>
using TwoRatesAndUserRate = Shape<2, 0, 0, 1, false, kLeases>;
template <bool kLeases>
using FiveAndBreaker = Shape<2, 1, 1, 1, true, kLeases>;

}  // namespace

Answer decide(const Context& context, Decision& decision, Holding& holding) noexcept {
  return decide_as<AnyShape>(context, decision, holding);
}

namespace {

bool must_wait(const Context& context) noexcept {
  return context.plan->has_queue && context.sections.gate->is_open() && others_go_first(context);
}

}  // namespace

Answer decide_in_turn(const Context& context, Decision& decision, Holding& holding) noexcept {
  if (must_wait(context)) {
    refuse(decision, Verdict::shed, 0, context.plan->waits_for);
    return Answer::refused;
  }
  const Answer answer = decide(context, decision, holding);
  // It has taken a turn, too: otherwise a stream of more urgent requests that do not wait would leave no turn to those
  // that wait.
  if (answer != Answer::refused && context.plan->has_queue && context.sections.gate->is_open())
    (void)context.sections.gate->turn.fetch_add(1, std::memory_order_relaxed);
  return answer;
}

namespace {

/// decide_in_turn() for a request that one of the ways of the plan fits.
Answer decide_next(const Context& context, Decision& decision, Holding& holding) noexcept {
  if (context.sections.gate->is_open()) [[unlikely]]
    return decide_in_turn(context, decision, holding);
  const Plan& plan = *context.plan;
  return (context.users == &plan.user ? plan.next_for_user : plan.next_for_nobody)(context, decision,
                                                                                   holding);
}

void choose_shapes(Plan& plan) noexcept {
  plan.decide_for_nobody = plan.decide_for_user = plan.retired ? &decide_retired : &decide;
  if (plan.retired || plan.counting) return;
  plan.decide_for_nobody =
      way_of<OneRate<false>, TwoRates<false>, OneRate<true>, TwoRates<true>>(plan.shared, kNoUserSteps);
  plan.decide_for_user =
      way_of<OneRate<false>, TwoRates<false>, UserRate, RateAndUserRate<false>, TwoRatesAndUserRate<false>,
             FiveAndBreaker<false>, OneRate<true>, TwoRates<true>, RateAndUserRate<true>,
             TwoRatesAndUserRate<true>, FiveAndBreaker<true>>(plan.shared, plan.user);
}

}  // namespace

void choose_ways(Plan& plan) noexcept {
  choose_shapes(plan);
  if (!plan.has_queue) return;
  plan.next_for_user = plan.decide_for_user;
  plan.next_for_nobody = plan.decide_for_nobody;
  plan.decide_for_user = plan.decide_for_nobody = &decide_next;
}

void take_back(const Context& context, Answer answer, Holding& holding) noexcept {
  if (answer == Answer::admitted) hold_nothing(holding);
  const SharedSteps& shared = context.plan->shared;
  const Spent all{static_cast<std::uint8_t>(shared.rates.enforced().size()),
                  static_cast<std::uint8_t>(context.users->quotas.enforced().size()),
                  static_cast<std::uint8_t>(shared.windows.enforced().size())};
  undo_all(context, all, holding);
}

Decision peek_in_turn(const Context& context) noexcept {
  Decision decision = peek(context);
  if (decision && must_wait(context)) refuse(decision, Verdict::shed, 0, context.plan->waits_for);
  return decision;
}

Decision peek(const Context& context) noexcept {
  Decision decision;
  Attempt<AnyShape> attempt(context);
  if (!attempt.look()) attempt.refusals().tell(decision);
  return decision;
}

}  // namespace weir::detail

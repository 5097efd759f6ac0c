// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment with everything that decides over it: what a Limiter does, once it is known which segment it uses.
//
// Which segment that is, src/binding knows: here a call only says when it is time to look for another one.
//
// This file has the path of a request, from an operation, a user and a moment to an Admission. It reads as the
// request goes: find the limits, look at the clock, decide, sweep if a permit may come back, and begin again if the
// limits were changed meanwhile. The usual path is inline in one function of the public API; what is rare is in
// functions of its own, most of them in impl.cpp. Each other job has a file: the limits of a request
// (limits_in_force.hpp), the slot of this process (this_worker.hpp), when to look for another segment
// (segment_watch.hpp), the end of an admission (finish.cpp), reset (reset.hpp).

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"

#include "base/fast_clock.hpp"
#include "base/result.hpp"
#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/context.hpp"
#include "limiter/decide.hpp"
#include "limiter/held.hpp"
#include "limiter/limits_in_force.hpp"
#include "limiter/metering.hpp"
#include "limiter/queues.hpp"
#include "limiter/refusals.hpp"
#include "limiter/segment_watch.hpp"
#include "limiter/this_worker.hpp"
#include "policy/reset.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"

namespace weir::detail {

class LimiterImpl {
 public:
  /// Over a segment in which this process gets a worker slot.
  /// Errors  Errc::damaged; as ThisWorker::join().
  [[nodiscard]] static Result<std::unique_ptr<LimiterImpl>> over(Result<Segment> segment);
  LimiterImpl(Segment segment, const Sections& sections);

  /// Decides a request, unless it is time to look whether the segment is still the one to use.
  /// @param admission  receives the decision. It says "admitted" when it comes in, and holds nothing.
  /// @return false: nothing was decided. Look, and call admit_without_look() of what is to be used then.
  template <class Time>
  [[gnu::always_inline]] bool admit(Admission& admission, Operation operation, const Request& request,
                                    const Time& time) noexcept {
    const std::uint64_t turn = limits_.turn();
    const Plan* const plan = limits_.plan_of(operation, turn);
    const bool usual = request.cost == 1 && request.weight == 1;
    if (plan == nullptr || !usual) [[unlikely]]
      return admit_otherwise(admission, operation, request, time);
    Context context(sections(), limits_.users(), request);
    Decide* way = plan->decide_for_nobody;
    if (const std::uint32_t block = limits_.prepare(context, *plan, turn, &way); block != 0) [[unlikely]] {
      context.users = limits_.override_kept(block, turn);
      if (context.users == nullptr) return admit_otherwise(admission, operation, request, time);
      way = &decide_in_turn;
    }
    context.begin(time);
    if (watch_.is_due(context.now)) [[unlikely]]
      return false;
    if (!decide_by(way, context, admission)) [[unlikely]]
      return admit_otherwise(admission, operation, request, time);
    return true;
  }
  template <class Time>
  void admit_without_look(Admission& admission, Operation operation, const Request& request,
                          const Time& time) noexcept {
    (void)admit_otherwise(admission, operation, request, time, &decide_in_turn, false);
  }

  /// Decides for a waiter whose turn it is, at this moment.
  void admit_waiter(Admission& admission, Operation operation, const Request& request) noexcept {
    (void)admit_otherwise(admission, operation, request, TimePasses{}, &decide, false);
  }
  /// Notes in the answer to a request that has waited how long it has, and counts the wait.
  void say_how_long(Admission& admission, Operation operation, const Request& request,
                    std::chrono::nanoseconds waited) noexcept;
  /// Makes `refusal` the answer to a request that has waited. Limits that heed refusals learn of it.
  void refuse_waiter(Admission& admission, Operation operation, const Request& request,
                     const Decision& refusal) noexcept;
  /// Calls use(Context&) with what a request asks for at this moment. @return false: the operation is not there any more.
  template <class Use>
  bool with_limits(Operation operation, const Request& request, Use&& use) noexcept {
    return limits_.with(operation, request, [&](Context& context) {
      context.begin(TimePasses{});
      context.owner = worker_.owner_at(context.now);
      use(context);
    });
  }
  [[nodiscard]] bool is_self(Owner owner) const noexcept { return worker_.registry().is_self(owner); }
  bool sweep_if_due() noexcept { return worker_.sweeper().sweep_if_due(fast_now()); }
  /// What the clock says, in ticks.
  [[nodiscard]] std::uint64_t fast_now() const noexcept { return ticks_at(sections(), FastClock::now()); }

  template <class Time>
  Decision peek(Operation operation, const Request& request, const Time& time) noexcept {
    Decision decision{Verdict::invalid, LimitId::none, {}};
    limits_.with(operation, request, [&](Context& context) {
      context.begin(time);
      context.owner = worker_.owner_at(context.now);
      decision = peek_in_turn(context);
    });
    return decision;
  }

  /// Under limits that change meanwhile it charges what is in force in the end. What it has spent under those
  /// before is given back as far as it is known, and else stays spent.
  template <class Time>
  void charge(Operation operation, const Request& request, const Time& time) noexcept {
    limits_.until_they_stand(operation, request, [&](Context& context) {
      context.begin(time);
      detail::charge(context);
      if (!limits_.have_changed(context)) return true;
      detail::refund(context, context.now);
      return false;
    });
  }

  template <class Time>
  void refund(Operation operation, const Request& request, Admission& admission, const Time& time) noexcept {
    if (!admission || !was_charged(admission.holding_)) return;
    limits_.with(operation, request, [&](Context& context) {
      context.begin(time);
      detail::refund_admission(context, admission.holding_.admitted_at);
      ring_waiters(sections(), needs_of(context).only(kQuotas), context.now);
      admission.release();
      admission.decision_ = {Verdict::invalid, LimitId::none, {}};
    });
  }
  std::optional<WindowCount> count(Operation operation, const Request& request) noexcept;
  [[nodiscard]] std::vector<Quota> quotas(Operation operation, const Request& request);

  /// Ends an admission of this limiter.
  [[gnu::always_inline]] void finish(const Holding& holding, Outcome outcome) noexcept {
    // An admission that a fork has copied ends in the parent. Without a slot it is not known whose it is.
    const Owner owner = owner_of(holding);
    if (metering_.is_on() && (!owner || worker_.registry().was_self(owner)))
      metering_.ended(holding, outcome, [this] { return fast_now(); });
    if (holding.holds) finish_holding(holding, outcome);
  }
  /// Tells the breaker of an admission that holds something, then gives back what is held.
  [[gnu::always_inline]] void finish_holding(const Holding& holding, Outcome outcome) noexcept {
    const bool nothing_to_count = holding.call == HeldCall::of_failure && outcome != Outcome::failure &&
                                  sections().breakers[operation_index(holding)].breaker.nothing_in_a_row();
    if (!nothing_to_count && holding.call != HeldCall::none) [[unlikely]]
      return report_and_release(holding, outcome);
    release(holding);
  }

  Result<Identity> join() { return worker_.join(); }
  ReapReport reap() noexcept { return worker_.sweeper().sweep(); }
  /// Why this process holds no permits here, if so.
  [[nodiscard]] std::optional<Error> fault() const { return worker_.fault(); }

  ResetReport reset() noexcept;
  ResetReport reset(Operation operation) noexcept;
  ResetReport reset_user(std::string_view user) noexcept;

  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const Sections& sections() const noexcept { return limits_.sections(); }
  [[nodiscard]] Config config() const { return load_config(sections(), segment_.name()); }
  [[nodiscard]] OperationHandles& operations() noexcept { return limits_.operations(); }

  /// From now on calls say, as often as SegmentWatch does, that it is time to look for another segment.
  void begin_to_watch() noexcept { watch_.begin(ticks_at(sections(), HostClock::now())); }
  [[nodiscard]] bool is_look_due() noexcept { return watch_.is_due(fast_now()); }

  /// Before the end. @return false: something that this process was admitted with is still out. Then this object
  /// stays until the process ends: the admission may yet be released, and the slot remains its owner's, so
  /// that nothing names a slot that was given to another worker.
  [[nodiscard]] bool may_end() const noexcept { return !worker_.holds_something(); }
  /// Leaves the object to the end of the process, where leak checkers find it.
  void stay() noexcept;

 private:
  /// Does what admit() does for any plan and request, and begins again while limits change.
  /// @param way       decides by any plan: decide() or decide_in_turn().
  /// @param may_look  false: it decides, even if it is time to look.
  template <class Time>
  [[gnu::noinline]] bool admit_otherwise(Admission& admission, Operation operation, const Request& request,
                                         const Time& time, Decide* way = &decide_in_turn,
                                         bool may_look = true) noexcept {
    constexpr Decision kInvalid{Verdict::invalid, LimitId::none, {}};
    bool look = false;
    admission.decision_ = kInvalid;
    const bool decided = limits_.until_they_stand(operation, request, [&](Context& context) {
      context.begin(time);
      look = may_look && watch_.is_due(context.now);
      if (look) return true;
      admission.decision_ = {};
      if (decide_by(way, context, admission)) return true;
      admission.decision_ = kInvalid;
      return false;
    });
    if (!decided) refuse(admission.decision_, Verdict::shed, 0, LimitId::none);
    return !look;
  }

  /// Decides at the moment at which the context has begun.
  /// @return false: limits were changed live meanwhile. Nothing stays charged: what was charged under limits that
  ///         may not be in force any more was taken back.
  [[gnu::always_inline]] bool decide_by(Decide* way, Context& context, Admission& admission) noexcept {
    if (const std::optional<Owner> mine = worker_.owner()) [[likely]] {
      context.owner = *mine;
    } else {
      context.owner = worker_.join_again(context.now);
      if (!context.owner) way = &decide_in_turn;  // a shape takes an owner for granted
    }
    Holding& holding = admission.holding_;
    Answer answer = way(context, admission.decision_, holding);
    if (answer == Answer::refused && admission.decision_.verdict == Verdict::shed) [[unlikely]]
      answer = after_sweep(way, context, admission.decision_, holding);
    if (limits_.have_changed(context)) [[unlikely]] {
      if (answer != Answer::refused) take_back(context, answer, holding);
      return false;
    }
    if (answer == Answer::refused) [[unlikely]] {
      // A request that waits is refused at the end of its wait: see refuse_waiter().
      const bool goes_on = context.request.wait.count() > 0 && context.later != nullptr;
      if (goes_on) return true;
      if (context.plan->heeds_refusals) after_refusal(context, admission.decision_, holding);
      metering_.refused(context, admission.decision_);
      return true;
    }
    holding.holds = answer != Answer::admitted &&
                    (answer != Answer::admitted_uncounted || count_admitted(context, holding));
    metering_.admitted(context, holding);
    holding.limiter = holding.holds || metering_.is_on() ? this : nullptr;
    return true;
  }

  /// Decides once more after a sweep, which may free a permit.
  [[gnu::noinline]] Answer after_sweep(Decide* way, const Context& context, Decision& decision,
                                       Holding& holding) noexcept;
  /// Begins a cooldown if enough refusals by a rate or a window were in a row; the answer then says when it ends.
  [[gnu::noinline]] static void after_refusal(const Context& context, Decision& decision,
                                              Holding& holding) noexcept;
  /// Asks the limits that only count about an admission, which may then hold permits of them, too.
  /// @return whether it holds anything.
  [[gnu::noinline]] static bool count_admitted(const Context& context, Holding& holding) noexcept;

  /// Whether this process was charged, and in this segment: not a parent of it, whose admission a fork has copied,
  /// nor in a segment that was replaced since, or by the stand-in for one.
  [[nodiscard]] bool was_charged(const Holding& holding) const noexcept;
  /// Gives back what an admission holds. The usual path calls nothing, so it needs no room on the stack.
  [[gnu::always_inline]] void release(const Holding& holding) noexcept {
    const bool still_ours = worker_.registry().is_self(owner_of(holding));
    if (!still_ours || holding.weight != 1) [[unlikely]]
      return release_otherwise(holding, still_ours);
    const bool all = give_back_first(sections(), limits_.users(), holding,
                                     [&](GivenBack done) { release_rest(holding, done); });
    if (!all) [[unlikely]]
      return;
    exchange_before_load();  // sync(gate): a waiter that has opened it sees what came back, or this sees it open
    if (sections().gate->is_open()) [[unlikely]]
      ring_for(holding);
  }
  [[gnu::noinline]] void report_and_release(const Holding& holding, Outcome outcome) noexcept;
  void report(const Holding& holding, Outcome outcome) noexcept;
  /// Gives back permits of several cells, and those whose owner may not be this process any more.
  [[gnu::noinline]] void release_otherwise(const Holding& holding, bool still_ours) noexcept;
  /// Gives back what is left, if there are more permits, or if one is not where it was taken.
  [[gnu::noinline]] void release_rest(const Holding& holding, GivenBack done) noexcept;
  /// Rings the waiters that lack what an admission has given back.
  [[gnu::noinline]] void ring_for(const Holding& holding) noexcept;
  /// Counts permits that had been taken back before they were given back.
  void count_late(std::uint32_t late) noexcept;

  Segment segment_;
  LimitsInForce limits_;
  ThisWorker worker_;
  Metering metering_;
  SegmentWatch watch_;
  LimiterImpl* next_staying_ = nullptr;
};

}  // namespace weir::detail

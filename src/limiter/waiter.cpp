// SPDX-License-Identifier: Apache-2.0
#include "limiter/waiter.hpp"

#include <algorithm>

#include "base/futex.hpp"
#include "limiter/decide.hpp"
#include "limiter/queues.hpp"
#include "limiter/refusals.hpp"

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

/// A waiter that is not rung looks after this time, less up to a quarter of it, so that waiters do not all look at once.
constexpr std::uint64_t kSlice = ticks_from_ns(50'000'000);

std::uint64_t slice(std::uint64_t now) noexcept {
  return kSlice - (now * 0x9e3779b97f4a7c15U >> 32) * (kSlice / 4) / (std::uint64_t{1} << 32);
}

}  // namespace

/// What the limits say to this waiter.
struct Waiter::Limits {
  Waiter& waiter;
  Admission& admission;

  WaiterAnswer decide() noexcept {
    constexpr int kMostTries = 8;
    for (int i = 0; i < kMostTries; ++i) {
      waiter.impl_.admit_waiter(admission, waiter.operation_, waiter.request_);
      if (admission) return {};
      const WaiterAnswer answer = ask();
      if (answer.kind != WaiterAnswer::Kind::passes) return answer;
    }
    return {WaiterAnswer::Kind::lacks, waiter.waiting_.content().lacks.what,
            waiter.impl_.fast_now() + Waiting::kGrace};
  }

  WaiterAnswer ask() noexcept {
    WaiterAnswer answer{WaiterAnswer::Kind::ends};
    waiter.decision_ = {Verdict::invalid, LimitId::none, {}};
    waiter.impl_.with_limits(waiter.operation_, waiter.request_,
                             [&](const Context& context) { answer = waiter.answer_of(context); });
    return answer;
  }
};

WaiterAnswer Waiter::answer_of(const Context& context) noexcept {
  const bool for_quotas = request_.wait_for == WaitFor::permits_and_rates;
  decision_ = peek(context);
  if (decision_) return {};
  const bool throttled = decision_.verdict == Verdict::throttled;
  const bool in_time = decision_.retry_after <= deadline_ - HostClock::now();
  if (decision_.verdict != Verdict::shed && !(throttled && for_quotas && in_time))
    return {WaiterAnswer::Kind::ends};
  const Lacks lacks = lacks_now(context, for_quotas);
  if (lacks == Lacks::nothing) return {};  // it came back between the two looks
  WaiterAnswer answer{WaiterAnswer::Kind::lacks, lacks};
  const auto retry_after = static_cast<std::uint64_t>(decision_.retry_after.count());
  if (throttled) answer.until = context.now + ticks_from_ns(retry_after);
  return answer;
}

bool Waiter::sit(const Context& context) noexcept {
  const WaiterAnswer answer = answer_of(context);
  if (answer.kind == WaiterAnswer::Kind::ends) return false;
  const QueueView view = queue_of(context.sections, queue_block(context.sections, context.plan->block));
  // If only others hold it up, it lacks all that they may go first for, until it has looked who they are.
  const bool passes = answer.kind == WaiterAnswer::Kind::passes;
  const Wants lacks = needs_of(context).only(passes ? ~kOfUser : answer.what);
  const std::uint64_t arrival = ticks_at(context.sections, arrived_) >> Seated::kArrivalShift;
  const Seated me{context.owner, urgency_of(request_), arrival, Seated::beat_at(context.now), false, false,
                  lacks};
  Seat* seat = context.owner ? view.waiters.take(me.pair()) : nullptr;
  if (seat == nullptr && context.owner && view.params.push_out) {
    seat = view.waiters.push_out(me.pair(), context.now);
    if (seat != nullptr) (void)detail::ring(*seat, futex::wake);
  }
  if (seat == nullptr) {
    refuse(decision_, Verdict::shed, 0, context.plan->waits_for);
    if (context.owner) decision_.cause = ShedCause::queue_full;
    return false;
  }
  waiting_ = Waiting(*seat, me, *context.sections.gate);
  seat_.store(seat, std::memory_order_release);
  return true;
}

bool Waiter::look(Admission& admission) noexcept {
  Wants needs;
  bool seated = false;
  bool has_queue = false;
  decision_ = {Verdict::invalid, LimitId::none, {}};
  impl_.with_limits(operation_, request_, [&](const Context& context) {
    const QueueView view = queue_of(context.sections, queue_block(context.sections, context.plan->block));
    deadline_ = arrived_ + std::min(request_.wait, view.params.timeout);
    needs = needs_of(context);
    waits_for_ = context.plan->waits_for;
    has_queue = context.plan->has_queue;
    seated = waiting_ || sit(context);
  });
  if (!seated) return refused(admission);
  if (!has_queue) return shed(admission, ShedCause::queue_full);  // a live change has taken it out
  if (!is_ours() || stop_requested()) return shed(admission, ShedCause::cancelled);
  const auto clock = [this] { return impl_.fast_now(); };
  switch (
      waiting_.look(needs, QueuesOf(impl_.sections(), needs), Limits{*this, admission}, clock, futex::wake)) {
    case Waiting::Next::admitted:
      return admitted(admission);
    case Waiting::Next::ends:
      return refused(admission);
    case Waiting::Next::lost:
      return shed(admission, ShedCause::pushed_out);
    case Waiting::Next::sleeps:
      break;
  }
  // The bell was read in the look, so a stop before that must be seen now, and one after that rings it.
  if (stop_requested()) return shed(admission, ShedCause::cancelled);
  return HostClock::now() >= deadline_ && shed(admission, ShedCause::timed_out);
}

// If not, a fork has copied this waiter, or another process took this one for dead.
bool Waiter::is_ours() const noexcept {
  return impl_.is_self(waiting_.content().owner);
}

bool Waiter::stop_requested() const noexcept {
  const std::stop_token* const stop = request_.stop.get();
  return stop != nullptr && stop->stop_requested();
}

bool Waiter::admitted(Admission& admission) noexcept {
  (void)impl_.sections().gate->turn.fetch_add(1, std::memory_order_relaxed);
  waiting_.leave();
  impl_.with_limits(operation_, request_, [&](const Context& context) {
    // The next that lacks a quota is rung even if there is none, so that it sets its alarm.
    ring_waiters(context.sections, needs_of(context).only(left_now(context) | kQuotas), context.now);
  });
  shut_if_empty(*impl_.sections().gate, impl_.sections().seats);
  impl_.say_how_long(admission, operation_, request_, waited());
  return true;
}

bool Waiter::shed(Admission& admission, ShedCause cause) noexcept {
  decision_.verdict = Verdict::shed;
  decision_.cause = cause;
  if (decision_.limit == LimitId::none) decision_.limit = waits_for_;
  return refused(admission);
}

bool Waiter::refused(Admission& admission) noexcept {
  leave();
  impl_.refuse_waiter(admission, operation_, request_, decision_);
  impl_.say_how_long(admission, operation_, request_, waited());
  return true;
}

void Waiter::leave() noexcept {
  if (!waiting_) return;
  if (!is_ours()) {
    waiting_ = {};
    return;
  }
  Wants lacked = waiting_.content().lacks;
  // Behind this one none has set an alarm for its quota.
  lacked.what = lacked.what | kQuotas;
  waiting_.leave();
  ring_waiters(impl_.sections(), lacked, impl_.fast_now());
  shut_if_empty(*impl_.sections().gate, impl_.sections().seats);
}

void Waiter::sleep() noexcept {
  const std::uint64_t now = impl_.fast_now();
  const std::uint64_t slice_ends = now + slice(now);
  const std::uint64_t until = std::min(slice_ends, waiting_.wake_at());
  const nanoseconds left(static_cast<std::int64_t>(ns_from_ticks(until > now ? until - now : 0)));
  futex::sleep_while(waiting_.seat().bell, static_cast<std::uint32_t>(waiting_.bell()),
                     std::min(HostClock::now() + left, deadline_));
  if (until == slice_ends && impl_.fast_now() >= slice_ends) (void)impl_.sweep_if_due();
}

void Waiter::ring() noexcept {
  if (Seat* const seat = seat_.load(std::memory_order_acquire); seat != nullptr)
    (void)detail::ring(*seat, futex::wake);
}

nanoseconds Waiter::waited() const noexcept {
  return HostClock::now() - arrived_;
}

}  // namespace weir::detail

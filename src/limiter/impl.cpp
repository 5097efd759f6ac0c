// SPDX-License-Identifier: Apache-2.0
#include "limiter/impl.hpp"

#include <algorithm>
#include <atomic>

#include "weir/log.hpp"

#include "limiter/count_only.hpp"
#include "limiter/quota.hpp"
#include "policy/events.hpp"

namespace weir::detail {

LimiterImpl::LimiterImpl(Segment segment, const Sections& sections)
    : segment_(std::move(segment)),
      limits_(segment_, sections),
      worker_(segment_, limits_.sections()),
      metering_(segment_, limits_.sections(), worker_.registry()),
      watch_(segment_.removed()) {
  this_thread::note_first_stack();
}

Result<std::unique_ptr<LimiterImpl>> LimiterImpl::over(Result<Segment> segment) {
  if (!segment) return segment.error();
  WEIR_TRY(const auto sections, Sections::of(*segment));
  if (sections.settings.huge_pages != 0 && !segment->name().empty()) {
    if (auto advised = segment->advise_huge(); !advised)
      log(advised.error().message());  // slower, and right all the same
  }
  auto impl = std::make_unique<LimiterImpl>(std::move(*segment), sections);
  WEIR_TRY_VOID(impl->join());
  return impl;
}

std::optional<WindowCount> LimiterImpl::count(Operation operation, const Request& request) noexcept {
  std::optional<WindowCount> count;
  // What was counted in a window that limits meanwhile took out of force is counted once more in its heir.
  limits_.until_they_stand(operation, request, [&](Context& context) {
    context.begin(TimePasses{});
    count = count_in_fixed_windows(context);
    return !limits_.have_changed(context);
  });
  return count;
}

std::vector<Quota> LimiterImpl::quotas(Operation operation, const Request& request) {
  std::vector<Quota> quotas;
  limits_.with(operation, request, [&](Context& context) {
    context.begin(TimePasses{});
    quotas = quotas_of(context);
  });
  return quotas;
}

ResetReport LimiterImpl::reset() noexcept {
  const ResetReport report = reset_all(segment_, sections());
  write_reset(sections(), {}, report);
  return report;
}

ResetReport LimiterImpl::reset(Operation operation) noexcept {
  const std::uint32_t block = limits_.operations().block_of(operation);
  if (block == 0) return {};
  const ResetReport report = reset_block(segment_, sections(), block);
  write_reset(sections(), OperationSubject(sections(), block).text(), report);
  return report;
}

ResetReport LimiterImpl::reset_user(std::string_view user) noexcept {
  const UserKey key = limits_.key_of(user);
  const ResetReport report = detail::reset_user(sections(), limits_.users(), key);
  write_reset(sections(), UserSubject(key.tag_hash).text(), report);
  return report;
}

void LimiterImpl::stay() noexcept {
  static std::atomic<LimiterImpl*> staying{nullptr};
  next_staying_ = staying.load(std::memory_order_relaxed);
  while (!staying.compare_exchange_weak(next_staying_, this, std::memory_order_release)) {
  }
}

Answer LimiterImpl::after_sweep(Decide* way, const Context& context, Decision& decision,
                                Holding& holding) noexcept {
  if (!worker_.sweeper().sweep_if_due(context.now)) return Answer::refused;
  decision = {};
  return way(context, decision, holding);
}

void LimiterImpl::say_how_long(Admission& admission, Operation operation, const Request& request,
                               std::chrono::nanoseconds waited) noexcept {
  using Waited = decltype(admission.decision_.waited);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(waited);
  admission.decision_.waited =
      Waited(static_cast<Waited::rep>(std::clamp<std::int64_t>(micros.count(), 0, Waited::max().count())));
  limits_.with(operation, request, [&](const Context& context) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(waited.count(), 0));
    metering_.waited(*context.plan, static_cast<bool>(admission), ticks_from_ns(ns));
  });
}

void LimiterImpl::refuse_waiter(Admission& admission, Operation operation, const Request& request,
                                const Decision& refusal) noexcept {
  admission.decision_ = refusal;
  limits_.with(operation, request, [&](Context& context) {
    context.begin(TimePasses{});
    if (context.plan->heeds_refusals) after_refusal(context, admission.decision_, admission.holding_);
    metering_.refused(context, admission.decision_);
  });
}

void LimiterImpl::after_refusal(const Context& context, Decision& decision, Holding& holding) noexcept {
  // Limits that only count are asked first, so the refusal that begins a cooldown is not one of its own.
  if (context.plan->counting) count_only(context, false, holding);
  if (decision.verdict != Verdict::throttled) return;
  if (const std::uint64_t cooldown = note_refusal(context, decision.limit); cooldown != 0) {
    const std::chrono::nanoseconds wait(ns_from_ticks(cooldown));
    decision.retry_after = std::max(decision.retry_after, wait);
  }
}

bool LimiterImpl::count_admitted(const Context& context, Holding& holding) noexcept {
  count_only(context, true, holding);
  return holding.permits + holding.user_permits != 0 || holding.call != HeldCall::none;
}

}  // namespace weir::detail

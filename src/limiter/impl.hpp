// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"
#include "weir/log.hpp"

#include "base/fast_clock.hpp"
#include "base/hash.hpp"
#include "base/result.hpp"
#include "limiter/afterwards.hpp"
#include "limiter/bulkheads.hpp"
#include "limiter/count_only.hpp"
#include "limiter/decide.hpp"
#include "limiter/quota.hpp"
#include "limiter/segment_binding.hpp"
#include "limiter/sweeper.hpp"
#include "plan/compile.hpp"
#include "plan/plans.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"
#include "policy/turn.hpp"
#include "workers/registry.hpp"

namespace weir::detail {

/// A segment with everything that decides over it.
class LimiterImpl {
 public:
  LimiterImpl(Segment segment, const Sections& sections)
      : segment_(std::move(segment)),
        sections_(sections),
        removed_(segment_.removed()),
        hasher_(segment_.header().secret),
        users_(sections_.users, sections_.user_counters),
        registry_(sections_.workers, segment_),
        sweeper_(registry_, sections_, segment_) {}

  static Result<std::unique_ptr<LimiterImpl>> over(Result<Segment> segment) {
    if (!segment) return segment.error();
    auto sections = Sections::of(*segment);
    if (!sections) return sections.error();
    if (sections->settings.huge_pages != 0 && !segment->name().empty()) {
      if (auto advised = segment->advise_huge(); !advised)
        log(advised.error().message());  // slower, no less right
    }
    auto impl = std::make_unique<LimiterImpl>(std::move(*segment), *sections);
    if (auto joined = impl->join(); !joined) return joined.error();
    return impl;
  }

  /// The index of an operation; nothing if there is none of that name.
  [[nodiscard]] std::optional<std::uint16_t> find(std::string_view operation) const noexcept {
    const std::uint32_t block = find_block(sections_.operation_index, hasher_(operation));
    if (block == 0 || sections_.blocks[block].presence(std::memory_order_relaxed).retired())
      return std::nullopt;
    if (handles_.empty()) return handle_of(block);
    const auto found = std::find(handles_.begin(), handles_.end(), Handle{tenancy(block), block});
    if (found == handles_.end()) return std::nullopt;
    return static_cast<std::uint16_t>(found - handles_.begin());
  }

  /// Takes over the handles that callers got from `before`: an operation may lie in another block here.
  void take_handles_of(const LimiterImpl& before) {
    std::vector<Handle> handles(std::size_t{std::numeric_limits<std::uint16_t>::max()} + 1);
    std::vector<bool> taken(kMaxBlocks, false);
    for (std::uint32_t handle = 0; handle < handles.size(); ++handle) {
      const std::uint32_t old = before.block_of(Operation{static_cast<std::uint16_t>(handle)});
      if (old == 0) continue;
      const std::string name = read_name(before.sections_.blocks[old].name);
      const std::uint32_t block = find_block(sections_.operation_index, hasher_(name));
      handles[handle] = block != 0 ? Handle{tenancy(block), block} : Handle{0, kGone};
      taken[block] = true;
    }
    // What is new here gets handles that nobody has yet.
    auto unused = handles.begin();
    for (std::uint32_t i = 0; i < sections_.operations(); ++i) {
      if (taken[kFirstOperation + i]) continue;
      unused = std::find(unused, handles.end(), Handle{});
      if (unused == handles.end()) break;
      *unused = {tenancy(kFirstOperation + i), kFirstOperation + i};
    }
    handles_ = std::move(handles);
  }

  /// Tells `binding` from now on whether this process has a worker slot here.
  void bind_to(SegmentBinding& binding) noexcept { binding_ = &binding; }
  /// From then on asks its binding, once a second, whether the segment is still the one to use; at every call
  /// after it was removed.
  void look_from(std::uint64_t first_look) noexcept {
    next_look_.store(first_look, std::memory_order_relaxed);
  }
  /// What to use instead, after looking for it if that is due; nullptr: this one.
  [[nodiscard]] LimiterImpl* successor() noexcept { return is_look_due(fast_now()) ? look_again() : nullptr; }
  [[nodiscard]] std::uint64_t now() const noexcept { return ticks_at(segment_.header(), HostClock::now()); }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }

  template <class Time>
  [[gnu::always_inline]] Admission admit(Operation operation, const Request& request, Time time) noexcept {
    Admission admission{Decision{}};  // filled in where the caller will have it, unless it stays "admitted"
    admit_into(admission, operation, request, time);
    return admission;
  }

  Decision peek(Operation operation, const Request& request) noexcept {
    Decision decision{Verdict::invalid, LimitId::none, {}};
    with_limits(operation, request, [&](Context& context) {
      context.begin(TimePasses{});
      context.owner = identity_at(context.now);
      decision = detail::peek(context);
    });
    return decision;
  }

  /// Under limits that change meanwhile it charges what is in force in the end. What it has spent under those
  /// before is given back as far as it is known, and else stays spent.
  template <class Time>
  void charge(Operation operation, const Request& request, const Time& time) noexcept {
    until_limits_stand(operation, request, [&](Context& context) {
      context.begin(time);
      detail::charge(context);
      if (!turned(context)) return true;
      detail::refund(context, context.now);
      return false;
    });
  }

  void refund(Operation operation, const Request& request, Admission& admission) noexcept {
    if (!admission || !charged_here(admission.holding_)) return;
    with_limits(operation, request, [&](Context& context) {
      context.begin(TimePasses{});
      detail::refund(context, admission.holding_.admitted_at);
      admission.release();
      admission.decision_ = {Verdict::invalid, LimitId::none, {}};
    });
  }

  std::optional<WindowCount> count(Operation operation, const Request& request) noexcept {
    std::optional<WindowCount> count;
    // What was counted in a window that limits meanwhile took out of force is counted once more in its heir.
    until_limits_stand(operation, request, [&](Context& context) {
      context.begin(TimePasses{});
      count = count_in_fixed_windows(context);
      return !turned(context);
    });
    return count;
  }

  [[nodiscard]] std::vector<Quota> quotas(Operation operation, const Request& request) {
    std::vector<Quota> quotas;
    with_limits(operation, request, [&](Context& context) {
      std::vector<LimitId> ids;
      for (const RateStep& step : context.plan->shared.rates.enforced()) ids.push_back(step.id);
      for (const WindowStep& step : context.plan->shared.windows.enforced()) ids.push_back(step.id);
      for (const UserQuotaStep& step : context.users->quotas.enforced()) ids.push_back(step.id);
      std::sort(ids.begin(), ids.end());  // block by block, the global one first
      for (const LimitId id : ids)
        quotas.push_back(quota_of(sections_, users_, context.key, LimitRef::of(id), now()));
    });
    return quotas;
  }

  /// Tells the breaker, then gives back what is held.
  [[gnu::always_inline]] void finish(const Holding& holding, Outcome outcome) noexcept {
    if (holding.call != HeldCall::none) {
      const bool nothing_to_count = holding.call == HeldCall::of_failure && outcome != Outcome::failure &&
                                    sections_.breaker(holding.block).breaker.nothing_in_a_row();
      if (!nothing_to_count) [[unlikely]]
        report(holding, outcome);
    }
    release(holding);
  }

  [[gnu::noinline]] void report(const Holding& holding, Outcome outcome) noexcept {
    BreakerTicket ticket = ticket_of(holding);
    const Owner owner = owner_of(holding);
    // A copy in a forked child: the parent's probe is not ours to judge, and its call is still in flight.
    if (ticket.probe != 0 && !registry_.was_self(owner)) return;
    if (ticket.holds_something() && owner && !registry_.was_self(owner)) ticket.cell = 0;
    BreakerRecord& record = sections_.breaker(holding.block);
    // Threads read the clock each for themselves: one that reports may be behind the one that was admitted.
    const std::uint64_t now = std::max(fast_now(), holding.admitted_at);
    record.breaker.report(record.params.load(), ticket, static_cast<BreakerOutcome>(outcome),
                          now - holding.admitted_at, now);
  }

  /// Whether this process was charged, and in this segment: not a parent of it, whose admission a fork has
  /// copied, nor in a segment that was replaced since, or by the stand-in for one.
  [[nodiscard]] bool charged_here(const Holding& holding) const noexcept {
    const Owner owner = owner_of(holding);
    return holding.segment == sections_.mark() && (!owner || registry_.was_self(owner));
  }

  [[gnu::always_inline]] void release(const Holding& holding) noexcept {
    const bool still_ours = registry_.owner() == owner_of(holding);
    if (!still_ours || holding.weight != 1) [[unlikely]]
      return release_otherwise(holding, still_ours);
    if (const std::uint32_t late = give_back_ours(sections_, users_, holding); late != 0) [[unlikely]]
      count_late(late);
  }

  [[gnu::noinline]] void release_otherwise(const Holding& holding, bool still_ours) noexcept {
    // A copy of the parent's admission in a forked child: the parent's permits are not ours to give.
    if (!still_ours && !registry_.was_self(owner_of(holding))) return;
    if (const std::uint32_t late = give_back(sections_, users_, holding, still_ours); late != 0)
      count_late(late);
  }
  void count_late(std::uint32_t late) noexcept {
    sections_.swept->late_releases.fetch_add(late, std::memory_order_relaxed);
  }

  Result<Identity> join() {
    const std::uint64_t now = ticks_at(segment_.header(), HostClock::now());
    auto joined = registry_.join(now);
    // After any sweep there may be a slot: another process may have freed those that ours found taken.
    constexpr int kSweeps = 4;
    for (int i = 0; i < kSweeps && !joined && joined.error().code == Errc::no_space; ++i) {
      sweeper_.sweep();
      joined = registry_.join(now);
    }
    if (joined && binding_ != nullptr) binding_->has_joined();
    return joined;
  }

  /// Before the end. @return false: something that this process was admitted with is still out, on another
  /// thread of a process that ends by exit(), say. Then this object stays as it is until the process ends:
  /// the admission may yet be released, and the slot remains its owner's, so that nothing names a slot that
  /// was given to another.
  [[nodiscard]] bool may_end() const noexcept {
    const auto mine = registry_.self();
    return !mine || !sweeper_.holds(mine->owner());
  }

  ReapReport reap() noexcept { return sweeper_.sweep(); }

  ResetReport reset() noexcept {
    return reset_if([](std::uint32_t /*block*/) { return true; });
  }

  ResetReport reset(Operation operation) noexcept {
    const std::uint32_t wanted = block_of(operation);
    return reset_if([=](std::uint32_t block) { return block == wanted; });
  }

  ResetReport reset_user(std::string_view user) noexcept {
    const UserKey key = users_.key(hasher_(user));
    ResetReport report;
    for (std::uint32_t block_index = 0; block_index < kMaxBlocks; ++block_index) {
      const Presence presence = sections_.blocks[block_index].presence(std::memory_order_acquire);
      for (const std::uint32_t index : LimitIndices(presence.any() & masks::kUser)) {
        if (kind_of(index) == LimitKind::permits) continue;
        const UserLimit entry{static_cast<std::uint16_t>(LimitRef{block_index, index}.id()), 0};
        report.users += users_.modify(key, entry, nullptr, to_never_seen) ? 1 : 0;
      }
    }
    return report;
  }

  /// Leaves the object to the end of the process, where leak checkers find it.
  void stay() noexcept {
    static std::atomic<LimiterImpl*> staying{nullptr};
    next_staying_ = staying.load(std::memory_order_relaxed);
    while (!staying.compare_exchange_weak(next_staying_, this, std::memory_order_release)) {
    }
  }

  [[nodiscard]] const Sections& sections() const noexcept { return sections_; }
  [[nodiscard]] Config config() const { return load_config(sections_, segment_.name()); }

 private:
  static std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
    return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
  }

  /// The block of an operation; 0: none.
  [[nodiscard]] std::uint32_t block_of(Operation operation) const noexcept {
    const auto handle = static_cast<std::uint32_t>(operation);
    if (!handles_.empty()) {
      const Handle& known = handles_[handle];
      return known.block != 0 && known.block != kGone && known.tenancy == tenancy(known.block) ? known.block
                                                                                               : 0;
    }
    const std::uint32_t block = kFirstOperation + handle % kMaxOperations;
    return handle % kMaxOperations < sections_.operations() && tenancy(block) == handle / kMaxOperations
               ? block
               : 0;
  }

  /// A block may have had other names before: a handle means one of them.
  [[nodiscard]] std::uint32_t tenancy(std::uint32_t block) const noexcept {
    return static_cast<std::uint32_t>(sections_.blocks[block].tenancy.load(std::memory_order_acquire) & 0xff);
  }
  [[nodiscard]] std::uint16_t handle_of(std::uint32_t block) const noexcept {
    return static_cast<std::uint16_t>(tenancy(block) * kMaxOperations + block - kFirstOperation);
  }

  [[nodiscard]] bool is_look_due(std::uint64_t now) noexcept {
    std::uint64_t due = next_look_.load(std::memory_order_relaxed);
    // relaxed: a hint, and what it leads to is read through files.
    const bool removed = removed_.load(std::memory_order_relaxed) != 0;
    if (now < due && !removed) [[likely]]
      return false;
    if (due == kNever) return false;
    if (removed) return true;  // every call, until there is another segment
    constexpr std::uint64_t kSecond = ticks_from_ns(1'000'000'000);
    return next_look_.compare_exchange_strong(due, now + kSecond, std::memory_order_relaxed);
  }
  [[gnu::noinline]] LimiterImpl* look_again() noexcept {
    binding_->look_again(*this);
    LimiterImpl& current = binding_->impl();
    return &current != this ? &current : nullptr;
  }

  [[nodiscard]] std::uint64_t fast_now() const noexcept { return ticks_at(sections_, FastClock::now()); }

  /// Calls use(Context&) with what a request asks for under the limits in force. @return false: there is no
  /// such operation, or the request asks for nothing.
  template <class Use>
  bool with_limits(Operation operation, const Request& request, Use&& use) noexcept {
    if (request.cost == 0 || request.weight == 0) return false;
    const std::uint64_t turn = turn_of_limits(sections_.control->turn);
    const Plan* const plan = plan_of(operation, turn);
    return plan != nullptr ? with_plan(*plan, turn, request, use) : with_own_plan(operation, request, use);
  }

  /// The plan of an operation that is kept under a turn; nullptr: compile it.
  [[nodiscard]] const Plan* plan_of(Operation operation, std::uint64_t turn) const noexcept {
    const auto handle = static_cast<std::uint32_t>(operation);
    const Plan* const plan = plans_.find(handle % kMaxOperations, turn);
    return plan != nullptr && plan->handle == handle ? plan : nullptr;
  }

  /// The same by a plan on this call's stack, which the next one finds if the limits stand still.
  template <class Use>
  [[gnu::noinline]] bool with_own_plan(Operation operation, const Request& request, Use& use) noexcept {
    const std::uint64_t turn = turn_of_limits(sections_.control->turn);
    const std::uint32_t block = block_of(operation);
    if (block == 0) return false;
    const auto handle = static_cast<std::uint32_t>(operation);
    Plan plan = compile_plan(sections_, block, handle);
    choose_ways(plan);
    if (stood_still(sections_.control->turn, turn)) plans_.keep(handle % kMaxOperations, plan, turn);
    return with_plan(plan, turn, request, use);
  }

  /// What a request asks for, under the limits of a plan. The user's entries are fetched while the clock is
  /// read and the words of all callers are looked at.
  /// @return the block of a user with limits of its own, whose steps are still to be found; 0: all is there.
  [[gnu::always_inline]] std::uint32_t prepare(Context& context, const Plan& plan, std::uint64_t turn,
                                               Decide** way = nullptr) noexcept {
    context.plan = &plan;
    context.turn = turn;
    if (!plan.of_users || context.request.user.empty()) {
      context.users = &kNoUserSteps;
      return 0;
    }
    context.users = &plan.user;
    if (way != nullptr) *way = plan.decide_for_user;
    const Hash128 user = hasher_(context.request.user);
    const UserKey key = users_.key(user);
    users_.prefetch(key);
    context.user = user;
    context.key = key;
    return plan.overrides ? override_of(user) : 0;
  }

  /// The block of a user with limits of its own; 0: it has none, or a live change took them out.
  [[nodiscard]] std::uint32_t override_of(Hash128 user) const noexcept {
    const std::uint32_t block = find_block(sections_.override_index, user);
    return block != 0 && !sections_.blocks[block].presence(std::memory_order_acquire).retired() ? block : 0;
  }

  template <class Use>
  bool with_plan(const Plan& plan, std::uint64_t turn, const Request& request, Use& use) noexcept {
    if (plan.retired) return false;
    Context context(sections_, users_, request);
    if (const std::uint32_t block = prepare(context, plan, turn); block != 0)
      return with_override(context, block, use);
    use(context);
    return true;
  }

  /// The same of a user with limits of its own.
  template <class Use>
  [[gnu::noinline]] bool with_override(Context& context, std::uint32_t block, Use& use) noexcept {
    context.users = overrides_.find((block - kFirstOverride) % kMaxOverrides, context.turn);
    if (context.users == nullptr) return with_own_override(context, block, use);
    use(context);
    return true;
  }
  template <class Use>
  [[gnu::noinline]] bool with_own_override(Context& context, std::uint32_t block, Use& use) noexcept {
    const UserSteps steps = compile_override(sections_, block);
    if (stood_still(sections_.control->turn, context.turn))
      overrides_.keep((block - kFirstOverride) % kMaxOverrides, steps, context.turn);
    context.users = &steps;
    use(context);
    context.users = &kNoUserSteps;  // the steps end here
    return true;
  }

  // The way of nearly every request; the others follow.
  template <class Time>
  [[gnu::always_inline]] void admit_into(Admission& admission, Operation operation, const Request& request,
                                         const Time& time) noexcept {
    const std::uint64_t turn = turn_of_limits(sections_.control->turn);
    const Plan* const plan = plan_of(operation, turn);
    const bool usual = request.cost == 1 && request.weight == 1;
    if (plan == nullptr || !usual) [[unlikely]]
      return admit_otherwise(admission, operation, request, time);
    Context context(sections_, users_, request);
    Decide* way = plan->decide_for_nobody;
    if (const std::uint32_t block = prepare(context, *plan, turn, &way); block != 0) [[unlikely]]
      return admit_otherwise(admission, operation, request, time);
    if (!decide_by(way, context, admission, operation, request, time)) [[unlikely]]
      admit_otherwise(admission, operation, request, time);
  }

  /// Calls use(Context&) again while it says that limits were changed live meanwhile: not without end.
  /// @return false: they were changed to the last.
  template <class Use>
  bool until_limits_stand(Operation operation, const Request& request, Use&& use) noexcept {
    constexpr int kMostTurns = 16;
    for (int i = 0; i < kMostTurns; ++i) {
      bool stood = true;
      with_limits(operation, request, [&](Context& context) { stood = use(context); });
      if (stood) return true;
    }
    return false;
  }

  template <class Time>
  [[gnu::noinline]] void admit_otherwise(Admission& admission, Operation operation, const Request& request,
                                         const Time& time) noexcept {
    admission.decision_ = {Verdict::invalid, LimitId::none, {}};
    const bool decided = until_limits_stand(operation, request, [&](Context& context) {
      admission.decision_ = {};
      if (decide_by(&decide, context, admission, operation, request, time)) return true;
      admission.decision_ = {Verdict::invalid, LimitId::none, {}};
      return false;
    });
    if (!decided) admission.decision_ = {Verdict::shed, LimitId::none, {}};
  }

  /// @return false: limits were changed live meanwhile. What was charged under limits that are not those any
  ///         more counts for nobody else: it was taken back.
  template <class Time>
  [[gnu::always_inline]] bool decide_by(Decide* way, Context& context, Admission& admission,
                                        Operation operation, const Request& request,
                                        const Time& time) noexcept {
    context.begin(time);
    if (is_look_due(context.now)) [[unlikely]] {
      if (LimiterImpl* const next = look_again()) {
        next->admit_otherwise(admission, operation, request, time);
        return true;
      }
    }
    context.owner = identity_at(context.now);
    Holding& holding = admission.holding_;
    Answer answer = way(context, admission.decision_, holding);
    if (answer == Answer::refused && admission.decision_.verdict == Verdict::shed) [[unlikely]]
      answer = after_sweep(context, admission.decision_, holding);
    if (turned(context)) [[unlikely]] {
      if (answer != Answer::refused) take_back(context, answer, holding);
      return false;
    }
    if (answer == Answer::refused) [[unlikely]] {
      if (context.plan->heeds_refusals) after_refusal(context, admission.decision_, holding);
      return true;
    }
    if (answer == Answer::admitted) return true;
    if (context.plan->counting && !count_admitted(context, holding)) [[unlikely]]
      return true;
    holding.limiter = this;
    return true;
  }

  /// Whether limits were changed live since they were looked up. It is asked after a request was charged:
  /// either this call sees the new turn, or the process that changes limits, which then reads what is owed,
  /// sees the charge.
  [[nodiscard]] bool turned(const Context& context) const noexcept {
    exchange_before_load();  // sync(turn): pairs with the one of the change
    return sections_.control->turn.load(std::memory_order_seq_cst) != context.turn;
  }

  // A sweep may free a permit.
  [[gnu::noinline]] Answer after_sweep(const Context& context, Decision& decision,
                                       Holding& holding) noexcept {
    if (!sweeper_.sweep_if_due(context.now)) return Answer::refused;
    decision = {};
    return decide(context, decision, holding);
  }

  // A refusal by a rate or a window may begin a cooldown, and the answer then says when that ends. Limits that
  // only count are asked before, so the refusal that begins a cooldown is not one of its own.
  [[gnu::noinline]] void after_refusal(const Context& context, Decision& decision,
                                       Holding& holding) noexcept {
    if (context.plan->counting) count_only(context, false, holding);
    if (decision.verdict != Verdict::throttled) return;
    if (const std::uint64_t cooldown = note_refusal(context, decision.limit); cooldown != 0) {
      const std::chrono::nanoseconds wait(ns_from_ticks(cooldown));
      decision.retry_after = std::max(decision.retry_after, wait);
    }
  }

  /// Asks the limits that only count about an admission, which may then hold permits of them, too.
  /// @return whether it holds anything.
  [[gnu::noinline]] bool count_admitted(const Context& context, Holding& holding) noexcept {
    count_only(context, true, holding);
    return holding.permits + holding.user_permits != 0 || holding.call != HeldCall::none;
  }

  /// The worker that this process is; nothing if it can get no slot.
  [[nodiscard]] [[gnu::always_inline]] Owner identity_at(std::uint64_t now) noexcept {
    const Owner mine = registry_.owner();
    return mine ? mine : join_again(now);
  }

  // The first call of a process, and of one that was taken for dead. Where there is no slot to be had, not
  // every call pays for trying.
  [[gnu::noinline]] Owner join_again(std::uint64_t now) noexcept {
    constexpr std::uint64_t kRetry = ticks_from_ns(10'000'000);
    std::uint64_t next = next_join_.load(std::memory_order_relaxed);
    if (now < next || !next_join_.compare_exchange_strong(next, now + kRetry, std::memory_order_relaxed)) {
      return {};
    }
    try {
      const auto joined = join();
      if (joined) {
        next_join_.store(0, std::memory_order_relaxed);
        return joined->owner();
      }
      binding_->cannot_join(joined.error());
    } catch (const std::exception&) {  // out of memory: as without a slot
    }
    return {};
  }

  bool reset_record(std::uint32_t block_index, std::uint32_t index) noexcept {
    LimitRecord& limit = sections_.blocks[block_index].limits[index];
    switch (kind_of(index)) {
      case LimitKind::rate:
      case LimitKind::cooldown:
        TokenBucket(limit.state).reset();
        return true;
      case LimitKind::window:
        SharedWindow(limit, sections_.window_cells, sections_.created_wall_ns).reset();
        return true;
      case LimitKind::breaker: {
        BreakerRecord& record = sections_.breaker(block_index);
        const bool counts_only =
            record.breaker.status(record.params.load(), 0).kind == BreakerKind::metrics_only;
        record.breaker.set(counts_only ? BreakerKind::metrics_only : BreakerKind::closed);
        return true;
      }
      case LimitKind::permits:
        break;  // held by somebody: reap, if by the dead
    }
    return false;
  }

  template <class Wanted>
  ResetReport reset_if(Wanted&& wanted) noexcept {
    ResetReport report;
    for (std::uint32_t block_index = 0; block_index < kMaxBlocks; ++block_index) {
      if (!wanted(block_index)) continue;
      const Presence presence = sections_.blocks[block_index].presence(std::memory_order_acquire);
      for (const std::uint32_t index : LimitIndices(presence.any() & masks::kShared)) {
        if (reset_record(block_index, index)) ++report.limits;
      }
    }
    report.users = sections_.modify_user_entries(
        segment_, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
          const LimitRef ref = LimitRef::of(LimitId{entry.id});
          return kind_of(ref.index) != LimitKind::permits && wanted(ref.block) ? to_never_seen(state)
                                                                               : std::nullopt;
        });
    return report;
  }

  Segment segment_;
  Sections sections_;
  const Word& removed_;
  KeyHasher hasher_;
  UserTable users_;
  Registry registry_;
  Sweeper sweeper_;
  PlanShelf<Plan, kMaxOperations> plans_;
  PlanShelf<UserSteps, kMaxOverrides> overrides_;
  /// An operation of this segment, as a caller of another one knew it.
  struct Handle {
    std::uint32_t tenancy = 0;
    std::uint32_t block = 0;  ///< 0: nobody has this handle

    friend bool operator==(const Handle&, const Handle&) = default;
  };
  static constexpr std::uint32_t kGone = kMaxBlocks;  // of an operation that is not here
  static_assert(kMaxOperations == 256, "a handle is {tenancy 8 | operation 8}");

  std::vector<Handle> handles_;  // by handle; empty: the handle says which block
  SegmentBinding* binding_ = nullptr;
  LimiterImpl* next_staying_ = nullptr;
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> next_look_{kNever};  // ticks
  std::atomic<std::uint64_t> next_join_{0};       // ticks; after a failure to join
};

}  // namespace weir::detail

#include "limiter/decide.hpp"

#include <algorithm>

#include "limiter/step_list.hpp"
#include "limiter/user_changes.hpp"
#include "policy/shared_window.hpp"
#include "primitives/permits.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

Decision refusal(Verdict verdict, std::uint64_t wait, LimitId limit) noexcept {
  if (wait == kNever) return {verdict == Verdict::throttled ? Verdict::never : verdict, limit, {}};
  return {verdict, limit, std::chrono::nanoseconds(ns_from_ticks(wait))};
}

/// The refusal that takes longest; the first of equals. No wait helps a `never`; a permit may be free at any
/// moment.
class Longest {
 public:
  void wait(std::uint64_t ticks, LimitId limit, Verdict verdict = Verdict::throttled) noexcept {
    if (ticks > wait_) wait_ = ticks, limit_ = limit, verdict_ = verdict;
  }
  void no_permit(LimitId limit) noexcept {
    if (shed_ == LimitId::none) shed_ = limit;
  }
  [[nodiscard]] Decision decision() const noexcept {
    if (wait_ != 0) return refusal(verdict_, wait_, limit_);
    return shed_ == LimitId::none ? Decision{} : Decision{Verdict::shed, shed_, {}};
  }

 private:
  std::uint64_t wait_ = 0;
  Verdict verdict_ = Verdict::throttled;
  LimitId limit_ = LimitId::none;
  LimitId shed_ = LimitId::none;
};

UserLimit entry_of(LimitId id, std::uint32_t part = 0) noexcept {
  return {static_cast<std::uint16_t>(id), static_cast<std::uint8_t>(part)};
}

/// Places of a user's permits in one of their entries.
std::uint32_t places_in(std::uint32_t part, std::uint32_t limit) noexcept {
  return std::min(owner_set::kPlaces, limit - part * owner_set::kPlaces);
}

std::uint32_t user_permits(const LimitLine& line) noexcept {
  const std::uint64_t limit = line.params.load(std::memory_order_relaxed);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, kMaxUserPermits));
}

LineMask enforced(std::uint64_t present) noexcept {
  return static_cast<LineMask>(present);
}
LineMask counting(std::uint64_t present) noexcept {
  return static_cast<LineMask>((present & ~kRetired) >> 32);
}

struct SharedRate {
  Word* tat;
  std::uint64_t seen;
  TokenBucketParams params;
  LimitId id;
};

struct SharedQuota {
  SharedWindow window;
  LimitId id;
};

struct UserQuota {
  UserTable::Found seen;
  UserRule rule;
  LimitId id;
};

struct SharedBulkhead {
  Permits permits;
  std::uint32_t limit;
  LimitId id;
};

struct UserBulkhead {
  UserTable::Found first;  ///< the first part; permits fill it first
  std::uint32_t limit;
  LimitId id;

  [[nodiscard]] std::uint32_t parts() const noexcept { return owner_set::parts_for(limit); }
};

/// A cooldown that counts refusals in a row, until an admission.
struct Streak {
  Word* shared;  ///< nullptr: of the user
  LimitId id;
};

}  // namespace

/// One request on its way through its limits: what looking has met saves the charge a search.
class Decider::Attempt {
 public:
  Attempt(const Decider& decider, const Ask& ask, std::uint64_t now) noexcept
      : decider_(decider),
        ask_(ask),
        now_(now),
        global_(present(kGlobalBlock)),
        operation_(present(ask.operation)),
        own_(ask.user_block != 0 ? present(ask.user_block) : 0) {}

  Decision look() noexcept {
    if ((operation_ & kRetired) != 0) return {Verdict::invalid, LimitId::none, {}};
    look_at_shared(kGlobalBlock, enforced(global_) & lines::kShared);
    look_at_breaker();
    look_at_shared(ask_.operation, enforced(operation_) & lines::kShared);
    if (!ask_.has_user) return longest_.decision();
    for_each_user_block([&](std::uint32_t index, std::uint64_t present) {
      look_at_user(index, enforced(present) >> kScopeLines);
    });
    return longest_.decision();
  }

  Decision charge(Holding& holding) noexcept {
    holding.owner = static_cast<std::uint32_t>(ask_.owner.bits());
    holding.weight = ask_.weight;
    holding.user = {ask_.user.low, ask_.user.high};
    holding.admitted_at = now_;
    holding.permits = holding.user_permits = 0;
    holding.has_call = false;
    const Decision decision = charge_all(holding);
    if (!decision) undo(holding);
    if (decision) end_streaks();
    return decision;
  }

  /// For the limits that only count: each alone.
  void count(bool admitted, Holding& holding) noexcept {
    count_shared(kGlobalBlock, counting(global_) & lines::kShared, admitted, holding);
    count_shared(ask_.operation, counting(operation_) & lines::kShared, admitted, holding);
    if (!ask_.has_user) return;
    for_each_user_block([&](std::uint32_t index, std::uint64_t present) {
      count_user(index, counting(present) >> kScopeLines, admitted, holding);
    });
  }

 private:
  [[nodiscard]] Block& block(std::uint32_t index) const noexcept { return decider_.sections_.blocks[index]; }
  [[nodiscard]] UserTable& users() const noexcept { return decider_.users_; }

  [[nodiscard]] std::uint64_t present(std::uint32_t index) const noexcept {
    // sync(present): acquire; pairs with write_block(): who sees the bit sees the line.
    return block(index).present.load(std::memory_order_acquire);
  }

  template <class Visit>
  void for_each_user_block(Visit&& visit) const noexcept {
    if (ask_.user_block != 0) {
      visit(ask_.user_block, own_);
    } else {
      visit(kGlobalBlock, global_);
      visit(ask_.operation, operation_);
    }
  }

  void look_at_shared(std::uint32_t index, LineMask present) noexcept {
    Block& block = this->block(index);
    for (const std::uint32_t line : LineRange(present & lines::kBulkheads)) {
      look_at_bulkhead(block.limits[line], LimitPlace{index, line}.id());
    }
    for (const std::uint32_t line : LineRange(present & lines::kRates)) {
      LimitLine& limit = block.limits[line];
      const SharedRate rate{&limit.state, limit.state.load(std::memory_order_relaxed),
                            packed::to_token_bucket(limit.params.load(std::memory_order_relaxed)),
                            LimitPlace{index, line}.id()};
      longest_.wait(gcra::wait(rate.params, rate.seen, now_, ask_.cost), rate.id);
      shared_rates_.push(rate);
    }
    if ((present & (lines::kWindows | lines::kCooldowns)) == 0) return;
    for (const std::uint32_t line : LineRange(present & lines::kWindows)) {
      const LimitId id = LimitPlace{index, line}.id();
      const SharedQuota& quota = shared_windows_.push({window(block.limits[line]), id});
      longest_.wait(quota.window.wait(now_, ask_.cost), id);
    }
    if ((present & lines::kCooldowns) != 0) {
      Word& state = block.limits[kCooldown].state;
      look_at_cooldown(state.load(std::memory_order_relaxed), {&state, LimitPlace{index, kCooldown}.id()});
    }
  }

  void look_at_cooldown(std::uint64_t state, const Streak& streak) noexcept {
    if (state == 0) return;
    longest_.wait(cooldown::wait(state, now_), streak.id, Verdict::blocked);
    if ((state & cooldown::kCount) != 0) streaks_.push(streak);
  }

  void look_at_bulkhead(const LimitLine& line, LimitId id) noexcept {
    const SharedBulkhead bulkhead = this->bulkhead(line, id);
    if (ask_.weight > bulkhead.limit) longest_.wait(kNever, id);
    if (!ask_.owner || !bulkhead.permits.available(bulkhead.limit, ask_.weight, ask_.home))
      longest_.no_permit(id);
    shared_bulkheads_.push(bulkhead);
  }

  void look_at_breaker() noexcept {
    if ((has_breaker() & lines::kBreakers) == 0) return;
    const BreakerRecord& record = decider_.sections_.breaker(ask_.operation);
    if (!record.breaker.guarded()) return;
    const BreakerAnswer answer = record.breaker.check(record.params.load(), now_);
    longest_.wait(answer.wait, breaker_id(), Verdict::circuit_open);
  }

  void look_at_user(std::uint32_t index, LineMask present) noexcept {
    Block& block = this->block(index);
    for (const std::uint32_t line : LineRange(present & lines::kBulkheads)) {
      const std::uint32_t at = kScopeLines + line;
      look_at_user_bulkhead(user_permits(block.limits[at]), LimitPlace{index, at}.id());
    }
    for (const std::uint32_t line : LineRange(present & lines::kRates)) {
      const LimitPlace place{index, kScopeLines + line};
      look_at_user_quota(place.id(), UserRule::rate(packed::to_token_bucket(
                                         block.limits[place.line].params.load(std::memory_order_relaxed))));
    }
    if ((present & (lines::kWindows | lines::kCooldowns)) == 0) return;
    for (const std::uint32_t line : LineRange(present & lines::kWindows)) {
      const LimitPlace place{index, kScopeLines + line};
      look_at_user_quota(place.id(), UserRule::of(decider_.sections_, place));
    }
    if ((present & lines::kCooldowns) != 0) {
      const LimitId id = LimitPlace{index, kScopeLines + kCooldown}.id();
      look_at_cooldown(users().find(ask_.key, entry_of(id)).state, {nullptr, id});
    }
  }

  void look_at_user_quota(LimitId id, const UserRule& rule) noexcept {
    const UserQuota& quota = user_quotas_.push({users().find(ask_.key, entry_of(id)), rule, id});
    const std::uint64_t state = quota.seen.entry != nullptr ? quota.seen.state : rule.at_rest(now_);
    longest_.wait(rule.wait(state, now_, ask_.cost), id);
  }

  void look_at_user_bulkhead(std::uint32_t limit, LimitId id) noexcept {
    UserBulkhead& bulkhead = user_bulkheads_.push({users().find(ask_.key, entry_of(id)), limit, id});
    if (ask_.weight > limit) longest_.wait(kNever, id);
    if (!ask_.owner || held(bulkhead) + ask_.weight > limit) longest_.no_permit(id);
  }

  [[nodiscard]] std::uint32_t held(const UserBulkhead& bulkhead) const noexcept {
    std::uint32_t held = std::min(owner_set::count(bulkhead.first.state), places_in(0, bulkhead.limit));
    for (std::uint32_t part = 1; part < bulkhead.parts(); ++part) {
      const UserTable::Found found = users().find(key_of_part(part), entry_of(bulkhead.id, part));
      held += std::min(owner_set::count(found.state), places_in(part, bulkhead.limit));
    }
    return held;
  }

  Decision charge_all(Holding& holding) noexcept {
    for (SharedBulkhead& bulkhead : shared_bulkheads_) {
      if (!take(bulkhead, holding)) return {Verdict::shed, bulkhead.id, {}};
    }
    for (UserBulkhead& bulkhead : user_bulkheads_) {
      if (!take(bulkhead, holding)) return {Verdict::shed, bulkhead.id, {}};
    }
    bool probe = false;
    if (has_breaker() != 0) {
      if (const std::uint64_t wait = begin_call(holding); wait != 0)
        return refusal(Verdict::circuit_open, wait, breaker_id());
      probe = holding.call.probe != 0;
    }
    for (const SharedRate& rate : shared_rates_) {
      const std::uint64_t wait = TokenBucket(*rate.tat).admit(rate.params, now_, ask_.cost, rate.seen);
      if (wait != 0) return refusal(Verdict::throttled, wait, rate.id);
      ++spent_rates_;
    }
    for (UserQuota& quota : user_quotas_) {
      if (const std::uint64_t wait = spend(quota); wait != 0)
        return refusal(Verdict::throttled, wait, quota.id);
      ++spent_user_;
    }
    for (SharedQuota& quota : shared_windows_) {
      const std::uint64_t wait = quota.window.admit(now_, ask_.cost);
      if (wait != 0) return refusal(Verdict::throttled, wait, quota.id);
      ++spent_windows_;
    }
    return {Verdict::admitted, LimitId::none, {}, probe};
  }

  bool take(SharedBulkhead& bulkhead, Holding& holding) noexcept {
    const Permit permit = bulkhead.permits.take(ask_.owner, bulkhead.limit, ask_.weight, ask_.home, now_);
    if (permit) holding.shared[holding.permits++] = {permit.word, permit.cell, bulkhead.id};
    return static_cast<bool>(permit);
  }

  bool take(UserBulkhead& bulkhead, Holding& holding) noexcept {
    const Taken taken = take_places(bulkhead);
    if (taken == Taken::all) {
      holding.of_user[holding.user_permits++] = {bulkhead.first.entry, bulkhead.id,
                                                 static_cast<std::uint8_t>(bulkhead.parts())};
    }
    return taken != Taken::none;
  }

  enum class Taken : std::uint8_t { all, none, unlimited };

  Taken take_places(UserBulkhead& bulkhead) noexcept {
    for (std::uint32_t taken = 0; taken < ask_.weight; ++taken) {
      const UserTable::Outcome outcome = take_place(bulkhead);
      if (outcome == UserTable::Outcome::changed) continue;
      decider_.give_back_user({nullptr, bulkhead.id, static_cast<std::uint8_t>(bulkhead.parts())}, ask_.user,
                              ask_.owner, taken);
      return outcome == UserTable::Outcome::full && count_full() ? Taken::unlimited : Taken::none;
    }
    return Taken::all;
  }

  // Whatever part has a free place: each part keeps its own capacity, so together they keep the limit.
  UserTable::Outcome take_place(UserBulkhead& bulkhead) noexcept {
    auto worst = UserTable::Outcome::declined;
    UserTable::Found elsewhere{};
    for (std::uint32_t part = 0; part < bulkhead.parts(); ++part) {
      const TakePlace change{base(), owner_set::place_of(ask_.owner), places_in(part, bulkhead.limit)};
      UserTable::Found& where = part == 0 ? bulkhead.first : elsewhere = {};
      const auto outcome = users().update(key_of_part(part), entry_of(bulkhead.id, part), where, change);
      if (outcome == UserTable::Outcome::changed) return outcome;
      if (outcome == UserTable::Outcome::full) worst = outcome;
    }
    return worst;
  }

  /// @return 0: the call has begun; else the ticks until it may.
  std::uint64_t begin_call(Holding& holding) noexcept {
    BreakerRecord& record = decider_.sections_.breaker(ask_.operation);
    const BreakerParams params = record.breaker.guarded() ? record.params.load() : BreakerParams{};
    const BreakerAdmission call = record.breaker.admit(params, now_, ask_.owner);
    if (!call) return call.wait;
    holding.call = {call.ticket.probe, call.ticket.generation, call.ticket.cell};
    holding.has_call = true;
    return 0;
  }

  /// @return 0: spent; else the ticks until it conforms.
  std::uint64_t spend(UserQuota& quota) noexcept {
    const bool is_new = quota.seen.entry == nullptr;
    const Spend change{base(), quota.rule, ask_.cost};
    switch (users().update(ask_.key, entry_of(quota.id), quota.seen, change)) {
      case UserTable::Outcome::changed:
        if (is_new && !decider_.sections_.names.empty()) remember_name();
        return 0;
      case UserTable::Outcome::declined:
        return change.wait;
      case UserTable::Outcome::full:
        break;
    }
    if (count_full()) return 0;
    const bool only_permits = change.least_debt == kPinned || change.least_debt == 0;
    return only_permits ? 1 : change.least_debt;
  }

  void remember_name() noexcept {
    NameTable(decider_.sections_.names).remember(UserTable::tag_hash(ask_.user), ask_.name);
  }

  // What a full table does to a new user, counted. @return whether it passes.
  bool count_full() noexcept {
    UserTableCounters& counters = users().counters();
    const bool passes = when_full() == TableFull::admit;
    (passes ? counters.unlimited : counters.refused).fetch_add(1, std::memory_order_relaxed);
    return passes;
  }

  void undo(Holding& holding) noexcept {
    for (SharedQuota& quota : shared_windows_) {
      if (spent_windows_-- == 0) break;
      quota.window.refund(now_, ask_.cost, now_);
    }
    for (UserQuota& quota : user_quotas_) {
      if (spent_user_-- == 0) break;
      users().modify(ask_.key, entry_of(quota.id), quota.seen.entry, [&](std::uint64_t state) {
        return std::optional(quota.rule.refunded(state, now_, ask_.cost, now_));
      });
    }
    for (const SharedRate& rate : shared_rates_) {
      if (spent_rates_-- == 0) break;
      TokenBucket(*rate.tat).refund(rate.params, now_, ask_.cost);
    }
    if (holding.has_call && holding.call.probe != 0) {
      BreakerRecord& record = decider_.sections_.breaker(ask_.operation);
      record.breaker.report(record.params.load(),
                            {holding.call.probe, holding.call.generation, holding.call.cell},
                            BreakerOutcome::ignored, 0, now_);
    }
    holding.has_call = false;
    decider_.release(holding);
    holding.permits = holding.user_permits = 0;
  }

  // Refusals are in a row no more.
  void end_streaks() noexcept {
    for (const Streak& streak : streaks_) {
      if (streak.shared != nullptr) {
        std::uint64_t seen = streak.shared->load(std::memory_order_relaxed);
        // Lost to somebody else's refusal: then it was refused after we were admitted.
        (void)streak.shared->compare_exchange(seen, cooldown::admitted(seen), std::memory_order_relaxed);
        continue;
      }
      users().modify(ask_.key, entry_of(streak.id), nullptr,
                     [](std::uint64_t state) { return std::optional(cooldown::admitted(state)); });
    }
  }

  void count_shared(std::uint32_t index, LineMask present, bool admitted, Holding& holding) noexcept {
    Block& block = this->block(index);
    for (const std::uint32_t line : LineRange(present & ~lines::kBreakers)) {
      LimitLine& limit = block.limits[line];
      bool passes = true;
      if (kind_of(line) == LimitKind::rate) {
        const auto params = packed::to_token_bucket(limit.params.load(std::memory_order_relaxed));
        passes = TokenBucket(limit.state).admit(params, now_, ask_.cost) == 0;
      } else if (kind_of(line) == LimitKind::window) {
        passes = window(limit).admit(now_, ask_.cost) == 0;
      } else if (kind_of(line) == LimitKind::cooldown) {
        passes = cooldown::wait(limit.state.load(std::memory_order_relaxed), now_) == 0;
      } else {
        SharedBulkhead bulkhead = this->bulkhead(limit, LimitPlace{index, line}.id());
        passes = admitted ? take(bulkhead, holding)
                          : bulkhead.permits.available(bulkhead.limit, ask_.weight, ask_.home);
      }
      if (!passes) limit.would_refuse.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void count_user(std::uint32_t index, LineMask present, bool admitted, Holding& holding) noexcept {
    for (const std::uint32_t line : LineRange(present)) {
      const LimitPlace place{index, kScopeLines + line};
      LimitLine& limit = block(index).limits[place.line];
      const UserTable::Found found = users().find(ask_.key, entry_of(place.id()));
      bool passes = true;
      if (kind_of(line) == LimitKind::cooldown) {
        passes = cooldown::wait(found.state, now_) == 0;
      } else if (kind_of(line) == LimitKind::permits) {
        UserBulkhead bulkhead{found, user_permits(limit), place.id()};
        passes = admitted ? take(bulkhead, holding) : held(bulkhead) + ask_.weight <= bulkhead.limit;
      } else {
        UserQuota quota{found, UserRule::of(decider_.sections_, place), place.id()};
        passes = spend(quota) == 0;
      }
      if (!passes) limit.would_refuse.fetch_add(1, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] SharedWindow window(LimitLine& line) const noexcept {
    return {line, decider_.sections_.window_cells, decider_.sections_.created_wall_ns};
  }
  [[nodiscard]] SharedBulkhead bulkhead(const LimitLine& line, LimitId id) const noexcept {
    const auto limit =
        static_cast<std::uint32_t>(line.params.load(std::memory_order_acquire));  // sync(reach)
    return {Permits(permit_cells(line, limit, decider_.sections_.permit_cells)), limit, id};
  }
  /// Whether the operation has one, be it only to count.
  [[nodiscard]] LineMask has_breaker() const noexcept {
    return (enforced(operation_) | counting(operation_)) & lines::kBreakers;
  }
  [[nodiscard]] LimitId breaker_id() const noexcept { return LimitPlace{ask_.operation, kBreaker}.id(); }

  [[nodiscard]] UserKey key_of_part(std::uint32_t part) const noexcept {
    return part < UserTable::kPartsTogether ? ask_.key
                                            : users().key(ask_.user, part / UserTable::kPartsTogether);
  }

  [[nodiscard]] TableFull when_full() const noexcept {
    return static_cast<TableFull>(decider_.sections_.settings.when_full);
  }
  [[nodiscard]] UserChangeBase base() const noexcept {
    return {decider_.sections_, now_, when_full() == TableFull::evict};
  }

  const Decider& decider_;
  const Ask& ask_;
  std::uint64_t now_;
  std::uint64_t global_;  // lines present in each block
  std::uint64_t operation_;
  std::uint64_t own_;
  Longest longest_;
  StepList<SharedBulkhead, 4> shared_bulkheads_;
  StepList<UserBulkhead, 4> user_bulkheads_;
  StepList<SharedRate, 2UL * kMaxRates> shared_rates_;
  StepList<SharedQuota, 2UL * kMaxWindows> shared_windows_;
  StepList<UserQuota, 2UL * (kMaxRates + kMaxWindows)> user_quotas_;
  StepList<Streak, 4> streaks_;
  std::uint32_t spent_rates_ = 0;
  std::uint32_t spent_windows_ = 0;
  std::uint32_t spent_user_ = 0;
};

Decision Decider::admit(const Ask& ask, std::uint64_t now, Holding& holding) const noexcept {
  Attempt attempt(*this, ask, now);
  const Decision seen = attempt.look();
  return seen ? attempt.charge(holding) : seen;
}

void Decider::count(const Ask& ask, std::uint64_t now, bool admitted, Holding& holding) const noexcept {
  Attempt(*this, ask, now).count(admitted, holding);
}

Decision Decider::peek(const Ask& ask, std::uint64_t now) const noexcept {
  return Attempt(*this, ask, now).look();
}

void Decider::note_refusal(const Ask& ask, std::uint64_t now, LimitId refused_by) const noexcept {
  const LimitPlace refused = LimitPlace::of(refused_by);
  const bool user = scope_of(refused.line) == LimitScope::user;
  const std::uint32_t line = (user ? kScopeLines : 0) + kCooldown;
  Block& block = sections_.blocks[refused.block];
  const std::uint64_t present = block.present.load(std::memory_order_acquire);
  if (((present | present >> 32) >> line & 1) == 0) return;
  const auto packed = packed::to_cooldown(block.limits[line].params.load(std::memory_order_relaxed));
  const cooldown::Params params{packed.refusals, packed.length()};
  if (user) {
    const UserLimit entry = entry_of(LimitPlace{refused.block, line}.id());
    const bool may_evict = static_cast<TableFull>(sections_.settings.when_full) == TableFull::evict;
    users_.update(ask.key, entry, NoteRefusal{{sections_, now, may_evict}, params});
    return;
  }
  Word& state = block.limits[line].state;
  std::uint64_t seen = state.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t next = cooldown::refused(params, seen, now);
    if (next == seen || state.compare_exchange(seen, next, std::memory_order_relaxed)) return;
  }
}

std::optional<WindowCount> Decider::count_in_fixed_windows(const Ask& ask, std::uint64_t now) const noexcept {
  std::optional<WindowCount> most;
  const bool may_evict = static_cast<TableFull>(sections_.settings.when_full) == TableFull::evict;
  for_each_quota(ask, [&](LimitPlace place) {
    LimitLine& line = sections_.blocks[place.block].limits[place.line];
    const packed::WindowParams window = packed::to_window(line.params.load(std::memory_order_relaxed));
    if (kind_of(place.line) != LimitKind::window || window.kind != WindowKind::fixed) return;
    fixed_window::Count counted;
    if (scope_of(place.line) == LimitScope::shared) {
      counted = SharedWindow(line, sections_.window_cells, sections_.created_wall_ns).add(now, ask.cost);
    } else {
      const UserRule rule = UserRule::of(sections_, place);
      users_.update(ask.key, entry_of(place.id()), Overdraw{{sections_, now, may_evict}, rule, ask.cost});
      counted = fixed_window::read(SharedWindow::fixed_params(window, sections_.created_wall_ns),
                                   users_.find(ask.key, entry_of(place.id())).state, now);
    }
    const auto over = [](std::uint32_t count, std::uint32_t of) { return std::int64_t{count} - of; };
    if (most && over(most->count, most->of) >= over(counted.count, window.limit)) return;
    const std::uint64_t expires_ns = sections_.created_wall_ns + ns_from_ticks(now + counted.expires_in);
    most = {
        place.id(), counted.count, window.limit,
        std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(static_cast<std::int64_t>(expires_ns))))};
  });
  return most;
}

void Decider::charge(const Ask& ask, std::uint64_t now) const noexcept {
  const bool may_evict = static_cast<TableFull>(sections_.settings.when_full) == TableFull::evict;
  for_each_quota(ask, [&](LimitPlace place) {
    LimitLine& line = sections_.blocks[place.block].limits[place.line];
    if (scope_of(place.line) == LimitScope::user) {
      const UserRule rule = UserRule::of(sections_, place);
      users_.update(ask.key, entry_of(place.id()), Overdraw{{sections_, now, may_evict}, rule, ask.cost});
    } else if (kind_of(place.line) == LimitKind::rate) {
      const auto params = packed::to_token_bucket(line.params.load(std::memory_order_relaxed));
      TokenBucket(line.state).charge(params, now, ask.cost);
    } else {
      SharedWindow(line, sections_.window_cells, sections_.created_wall_ns).charge(now, ask.cost);
    }
  });
}

void Decider::refund(const Ask& ask, std::uint64_t now, std::uint64_t charged_at) const noexcept {
  for_each_quota(ask, [&](LimitPlace place) {
    LimitLine& line = sections_.blocks[place.block].limits[place.line];
    if (scope_of(place.line) == LimitScope::user) {
      const UserRule rule = UserRule::of(sections_, place);
      users_.modify(ask.key, entry_of(place.id()), nullptr, [&](std::uint64_t state) {
        return std::optional(rule.refunded(state, now, ask.cost, charged_at));
      });
    } else if (kind_of(place.line) == LimitKind::rate) {
      const auto params = packed::to_token_bucket(line.params.load(std::memory_order_relaxed));
      TokenBucket(line.state).refund(params, now, ask.cost);
    } else {
      SharedWindow(line, sections_.window_cells, sections_.created_wall_ns).refund(now, ask.cost, charged_at);
    }
  });
}

std::uint32_t Decider::release(const Holding& holding) const noexcept {
  std::uint32_t late = 0;
  const Owner owner = Owner::from_bits(holding.owner);
  for (std::uint32_t i = 0; i < holding.permits; ++i) {
    const LimitPlace place = LimitPlace::of(holding.shared[i].limit);
    const LimitLine& line = sections_.blocks[place.block].limits[place.line];
    const CellRange cells = CellRange::from_word(line.cells.load(std::memory_order_relaxed));
    Permits permits(cells.in(sections_.permit_cells));
    late += holding.weight - permits.give_back({holding.shared[i].word, holding.shared[i].cell});
  }
  const Hash128 user{holding.user[0], holding.user[1]};
  for (std::uint32_t i = 0; i < holding.user_permits; ++i) {
    late += give_back_user(holding.of_user[i], user, owner, holding.weight);
  }
  return late;
}

// All places of one owner are alike, so any of them will do. @return how many there were not.
std::uint32_t Decider::give_back_user(const HeldUserPermits& held, Hash128 user, Owner owner,
                                      std::uint32_t weight) const noexcept {
  const owner_set::Place place = owner_set::place_of(owner);
  const auto without_one = [&](std::uint64_t set) { return owner_set::remove(set, place); };
  auto* where = static_cast<PairWord*>(held.entry);
  std::uint32_t missing = weight;
  for (std::uint32_t part = 0; part < held.parts && missing > 0; ++part) {
    const UserKey key = users_.key(user, part / UserTable::kPartsTogether);
    while (missing > 0 && users_.modify(key, entry_of(held.limit, part), where, without_one)) --missing;
    where = nullptr;  // the hint is for the first part
  }
  return missing;
}

}  // namespace weir::detail

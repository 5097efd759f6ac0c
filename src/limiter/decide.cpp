#include "limiter/decide.hpp"

#include "limiter/user_changes.hpp"

namespace weir::detail {
namespace {

Decision throttled(std::uint64_t wait, LimitId limit) noexcept {
  if (wait == kNever) return {Verdict::never, limit, {}};
  return {Verdict::throttled, limit, std::chrono::nanoseconds(ns_from_ticks(wait))};
}

Decision shed(LimitId limit) noexcept {
  return {Verdict::shed, limit, {}};
}

/// The refusal that takes longest; the first of equals. No wait helps a `never`; a permit may be free at any
/// moment.
class Longest {
 public:
  void rate(std::uint64_t wait, LimitId limit) noexcept {
    if (wait > wait_) wait_ = wait, limit_ = limit;
  }
  void no_permit(LimitId limit) noexcept {
    if (shed_ == LimitId::none) shed_ = limit;
  }
  [[nodiscard]] Decision decision() const noexcept {
    if (wait_ != 0) return throttled(wait_, limit_);
    return shed_ == LimitId::none ? Decision{} : shed(shed_);
  }

 private:
  std::uint64_t wait_ = 0;
  LimitId limit_ = LimitId::none;
  LimitId shed_ = LimitId::none;
};

}  // namespace

/// The charging half of one admission: what it has taken so far, and how to give it back.
class Decider::Charge {
 public:
  Charge(const Decider& decider, const Ask& ask, std::uint64_t now, Looked& looked, Holding& holding) noexcept
      : decider_(decider), plan_(ask.plan), ask_(ask), now_(now), looked_(looked), holding_(holding) {}

  Decision run() noexcept {
    Decision decision = take_shared();
    if (decision && ask_.has_user) decision = take_user();
    if (decision) decision = spend_shared();
    if (decision && ask_.has_user) decision = spend_user();
    if (!decision) undo();
    return decision;
  }

 private:
  Decision take_shared() noexcept {
    for (std::size_t i = 0; i < plan_.shared_bulkheads.size(); ++i) {
      Permits permits = plan_.shared_bulkheads[i].permits;
      const std::uint32_t limit = plan_.shared_bulkheads[i].limit;
      const Permit permit = permits.take(ask_.owner, limit, ask_.weight, ask_.home, now_);
      if (!permit) return shed(plan_.shared_bulkheads[i].id);
      holding_.cells[i] = permit.cell;
      holding_.words[i] = permit.word;
    }
    return {};
  }

  Decision take_user() noexcept {
    for (std::size_t i = 0; i < plan_.user_bulkheads.size(); ++i) {
      const UserBulkhead& bulkhead = plan_.user_bulkheads[i];
      const Taken taken = take_places(bulkhead, looked_.places[i]);
      holding_.user_entries[i] = looked_.places[i].entry;
      if (taken == Taken::none) return shed(bulkhead.id);
      if (taken == Taken::all) holding_.user_permits |= static_cast<std::uint8_t>(1U << i);
    }
    return {};
  }

  enum class Taken : std::uint8_t { all, none, unlimited };

  Taken take_places(const UserBulkhead& bulkhead, UserTable::Found& first) noexcept {
    for (std::uint32_t taken = 0; taken < ask_.weight; ++taken) {
      const UserTable::Outcome outcome = take_place(bulkhead, first);
      if (outcome == UserTable::Outcome::changed) continue;
      decider_.give_back_user(bulkhead, ask_.user, ask_.owner, taken, nullptr);
      return outcome == UserTable::Outcome::full && count_full() ? Taken::unlimited : Taken::none;
    }
    return Taken::all;
  }

  // What a full table does to a new user, counted. @return whether it passes.
  bool count_full() noexcept {
    UserTableCounters& counters = decider_.users_.counters();
    const bool passes = decider_.when_full_ == TableFull::admit;
    (passes ? counters.unlimited : counters.refused).fetch_add(1, std::memory_order_relaxed);
    return passes;
  }

  // Whatever part has a free place: each part keeps its own capacity, so together they keep the limit.
  UserTable::Outcome take_place(const UserBulkhead& bulkhead, UserTable::Found& first) noexcept {
    auto worst = UserTable::Outcome::declined;
    UserTable::Found elsewhere{};
    for (std::uint32_t part = 0; part < bulkhead.parts; ++part) {
      const TakePlace change{
          {decider_.plan_, now_, may_evict()}, owner_set::place_of(ask_.owner), bulkhead.capacity(part)};
      UserTable::Found& where = part == 0 ? first : elsewhere = {};
      const auto outcome =
          decider_.users_.update(decider_.key_of_part(ask_, part), bulkhead.entry(part), where, change);
      if (outcome == UserTable::Outcome::changed) return outcome;
      if (outcome == UserTable::Outcome::full) worst = outcome;
    }
    return worst;
  }

  Decision spend_shared() noexcept {
    for (const SharedRate& rate : plan_.shared_rates) {
      if (const std::uint64_t wait = rate.bucket->admit(rate.params, now_, ask_.cost); wait != 0) {
        return throttled(wait, rate.id);
      }
      ++spent_shared_;
    }
    return {};
  }

  Decision spend_user() noexcept {
    for (; spent_user_ < plan_.user_rates.size(); ++spent_user_) {
      if (const Decision decision = spend(plan_.user_rates[spent_user_]); !decision) return decision;
    }
    return {};
  }

  Decision spend(const UserRate& rate) noexcept {
    const SpendTokens change{{decider_.plan_, now_, may_evict()}, rate.params, ask_.cost};
    UserTable::Found where{};
    if (spent_user_ < looked_.rates.size()) where = looked_.rates[spent_user_];
    switch (decider_.users_.update(ask_.key, rate.entry(), where, change)) {
      case UserTable::Outcome::changed:
        return {};
      case UserTable::Outcome::declined:
        return throttled(change.wait, rate.id);
      case UserTable::Outcome::full:
        break;
    }
    if (count_full()) return {};
    const bool only_permits = change.least_debt == kPinned || change.least_debt == 0;
    return throttled(only_permits ? 1 : change.least_debt, rate.id);
  }

  void undo() noexcept {
    for (std::size_t i = spent_user_; i-- > 0;) {
      const UserRate& rate = plan_.user_rates[i];
      decider_.users_.modify(ask_.key, rate.entry(), nullptr,
                             [&](std::uint64_t tat) -> std::optional<std::uint64_t> {
                               if (gcra::debt(tat, now_) == 0) return std::nullopt;
                               return gcra::refunded(rate.params, tat, now_, ask_.cost);
                             });
    }
    for (std::size_t i = spent_shared_; i-- > 0;) {
      plan_.shared_rates[i].bucket->refund(plan_.shared_rates[i].params, now_, ask_.cost);
    }
    decider_.release(plan_, holding_);
    holding_.words = {};
    holding_.user_permits = 0;
  }

  [[nodiscard]] bool may_evict() const noexcept { return decider_.when_full_ == TableFull::evict; }

  const Decider& decider_;
  const OperationPlan& plan_;
  const Ask& ask_;
  std::uint64_t now_;
  Looked& looked_;
  Holding& holding_;
  std::size_t spent_shared_ = 0;
  std::size_t spent_user_ = 0;
};

UserKey Decider::key_of_part(const Ask& ask, std::uint32_t part) const noexcept {
  return part < UserTable::kPartsTogether ? ask.key : users_.key(ask.user, part / UserTable::kPartsTogether);
}

Decision Decider::look(const Ask& ask, std::uint64_t now, Looked& looked) const noexcept {
  Longest longest;
  for (const SharedBulkhead& bulkhead : ask.plan.shared_bulkheads) {
    if (ask.weight > bulkhead.limit) return {Verdict::never, bulkhead.id, {}};
    if (!ask.owner || !bulkhead.permits.available(bulkhead.limit, ask.weight, ask.home))
      longest.no_permit(bulkhead.id);
  }
  for (const SharedRate& rate : ask.plan.shared_rates)
    longest.rate(rate.bucket->peek(rate.params, now, ask.cost), rate.id);
  if (!ask.has_user) return longest.decision();
  for (std::size_t i = 0; i < ask.plan.user_bulkheads.size(); ++i) {
    const UserBulkhead& bulkhead = ask.plan.user_bulkheads[i];
    if (ask.weight > bulkhead.limit) return {Verdict::never, bulkhead.id, {}};
    const std::uint32_t held = permits_held(ask, bulkhead, looked.places[i]);
    if (!ask.owner || held + ask.weight > bulkhead.limit) longest.no_permit(bulkhead.id);
  }
  for (std::size_t i = 0; i < ask.plan.user_rates.size(); ++i) {
    const UserRate& rate = ask.plan.user_rates[i];
    const UserTable::Found found = users_.find(ask.key, rate.entry());
    if (i < looked.rates.size()) looked.rates[i] = found;
    longest.rate(gcra::wait(rate.params, found.entry != nullptr ? found.state : now, now, ask.cost), rate.id);
  }
  return longest.decision();
}

// Permits fill the first part first; `first` is where it was met.
std::uint32_t Decider::permits_held(const Ask& ask, const UserBulkhead& bulkhead,
                                    UserTable::Found& first) const noexcept {
  std::uint32_t held = 0;
  for (std::uint32_t part = 0; part < bulkhead.parts; ++part) {
    const UserTable::Found found = users_.find(key_of_part(ask, part), bulkhead.entry(part));
    if (part == 0) first = found;
    held += std::min(owner_set::count(found.state), bulkhead.capacity(part));
  }
  return held;
}

Decision Decider::admit(const Ask& ask, std::uint64_t now, Holding& holding) const noexcept {
  Looked looked;
  const Decision seen = look(ask, now, looked);
  if (!seen) return seen;
  holding.owner = static_cast<std::uint32_t>(ask.owner.bits());
  holding.weight = ask.weight;
  holding.user = {ask.user.low, ask.user.high};
  return Charge(*this, ask, now, looked, holding).run();
}

std::uint32_t Decider::release(const OperationPlan& plan, const Holding& holding) const noexcept {
  std::uint32_t late = 0;
  const Owner owner = Owner::from_bits(holding.owner);
  for (std::size_t i = 0; i < plan.shared_bulkheads.size(); ++i) {
    Permits permits = plan.shared_bulkheads[i].permits;
    const Permit permit{holding.words[i], holding.cells[i]};
    if (permit) late += holding.weight - permits.give_back(permit);
  }
  const Hash128 user{holding.user[0], holding.user[1]};
  for (std::size_t i = 0; i < plan.user_bulkheads.size(); ++i) {
    if ((holding.user_permits >> i & 1U) == 0) continue;
    late += give_back_user(plan.user_bulkheads[i], user, owner, holding.weight, holding.user_entries[i]);
  }
  return late;
}

// All places of one owner are alike, so any of them will do. @return how many there were not.
std::uint32_t Decider::give_back_user(const UserBulkhead& bulkhead, Hash128 user, Owner owner,
                                      std::uint32_t weight, void* hint) const noexcept {
  const owner_set::Place place = owner_set::place_of(owner);
  const auto without_one = [&](std::uint64_t set) { return owner_set::remove(set, place); };
  auto* where = static_cast<PairWord*>(hint);
  std::uint32_t missing = weight;
  for (std::uint32_t part = 0; part < bulkhead.parts && missing > 0; ++part) {
    const UserKey key = users_.key(user, part / UserTable::kPartsTogether);
    while (missing > 0 && users_.modify(key, bulkhead.entry(part), where, without_one)) --missing;
    where = nullptr;  // the hint is for the first part
  }
  return missing;
}

}  // namespace weir::detail

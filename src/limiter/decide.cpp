#include "limiter/decide.hpp"

#include <algorithm>

#include "limiter/step_list.hpp"
#include "limiter/user_changes.hpp"
#include "primitives/permits.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

Decision throttled(std::uint64_t wait, LimitId limit) noexcept {
  if (wait == kNever) return {Verdict::never, limit, {}};
  return {Verdict::throttled, limit, std::chrono::nanoseconds(ns_from_ticks(wait))};
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
    return shed_ == LimitId::none ? Decision{} : Decision{Verdict::shed, shed_, {}};
  }

 private:
  std::uint64_t wait_ = 0;
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

struct SharedRate {
  Word* tat;
  std::uint64_t seen;
  TokenBucketParams params;
  LimitId id;
};

struct UserRate {
  UserTable::Found seen;
  TokenBucketParams params;
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

}  // namespace

/// One request on its way through its limits: what looking has met saves the charge a search.
class Decider::Attempt {
 public:
  Attempt(const Decider& decider, const Ask& ask, std::uint64_t now) noexcept
      : decider_(decider), ask_(ask), now_(now) {}

  Decision look() noexcept {
    const LineMask global = enforced(kGlobalBlock);
    const LineMask operation = enforced(ask_.operation);
    look_at_shared(kGlobalBlock, global & lines::kShared);
    look_at_shared(ask_.operation, operation & lines::kShared);
    if (!ask_.has_user) return longest_.decision();
    if (ask_.user_block != 0) {
      look_at_user(ask_.user_block, enforced(ask_.user_block) >> kScopeLines);
    } else {
      look_at_user(kGlobalBlock, global >> kScopeLines);
      look_at_user(ask_.operation, operation >> kScopeLines);
    }
    return longest_.decision();
  }

  Decision charge(Holding& holding) noexcept {
    holding.owner = static_cast<std::uint32_t>(ask_.owner.bits());
    holding.weight = ask_.weight;
    holding.user = {ask_.user.low, ask_.user.high};
    holding.permits = holding.user_permits = 0;
    const Decision decision = charge_all(holding);
    if (!decision) undo(holding);
    return decision;
  }

 private:
  [[nodiscard]] Block& block(std::uint32_t index) const noexcept { return decider_.sections_.blocks[index]; }

  [[nodiscard]] LineMask enforced(std::uint32_t index) const noexcept {
    // sync(present): acquire; pairs with write_block(): who sees the bit sees the line.
    return static_cast<LineMask>(block(index).present.load(std::memory_order_acquire));
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
      longest_.rate(gcra::wait(rate.params, rate.seen, now_, ask_.cost), rate.id);
      shared_rates_.push(rate);
    }
  }

  void look_at_bulkhead(const LimitLine& line, LimitId id) noexcept {
    const CellRange cells = CellRange::from_word(line.cells.load(std::memory_order_relaxed));
    const SharedBulkhead bulkhead{Permits(cells.in(decider_.sections_.permit_cells)),
                                  static_cast<std::uint32_t>(line.params.load(std::memory_order_relaxed)),
                                  id};
    if (ask_.weight > bulkhead.limit) longest_.rate(kNever, id);
    if (!ask_.owner || !bulkhead.permits.available(bulkhead.limit, ask_.weight, ask_.home))
      longest_.no_permit(id);
    shared_bulkheads_.push(bulkhead);
  }

  void look_at_user(std::uint32_t index, LineMask present) noexcept {
    Block& block = this->block(index);
    for (const std::uint32_t line : LineRange(present & lines::kBulkheads)) {
      const std::uint64_t limit = block.limits[kScopeLines + line].params.load(std::memory_order_relaxed);
      look_at_user_bulkhead(static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, kMaxUserPermits)),
                            LimitPlace{index, kScopeLines + line}.id());
    }
    for (const std::uint32_t line : LineRange(present & lines::kRates)) {
      const LimitId id = LimitPlace{index, kScopeLines + line}.id();
      const UserRate rate{
          decider_.users_.find(ask_.key, entry_of(id)),
          packed::to_token_bucket(block.limits[kScopeLines + line].params.load(std::memory_order_relaxed)),
          id};
      const std::uint64_t tat = rate.seen.entry != nullptr ? rate.seen.state : now_;
      longest_.rate(gcra::wait(rate.params, tat, now_, ask_.cost), id);
      user_rates_.push(rate);
    }
  }

  void look_at_user_bulkhead(std::uint32_t limit, LimitId id) noexcept {
    UserBulkhead& bulkhead = user_bulkheads_.push({decider_.users_.find(ask_.key, entry_of(id)), limit, id});
    std::uint32_t held = std::min(owner_set::count(bulkhead.first.state), places_in(0, limit));
    for (std::uint32_t part = 1; part < bulkhead.parts(); ++part) {
      const UserTable::Found found = decider_.users_.find(key_of_part(part), entry_of(id, part));
      held += std::min(owner_set::count(found.state), places_in(part, limit));
    }
    if (ask_.weight > limit) longest_.rate(kNever, id);
    if (!ask_.owner || held + ask_.weight > limit) longest_.no_permit(id);
  }

  Decision charge_all(Holding& holding) noexcept {
    for (SharedBulkhead& bulkhead : shared_bulkheads_) {
      const Permit permit = bulkhead.permits.take(ask_.owner, bulkhead.limit, ask_.weight, ask_.home, now_);
      if (!permit) return {Verdict::shed, bulkhead.id, {}};
      holding.shared[holding.permits++] = {permit.word, permit.cell, bulkhead.id};
    }
    for (UserBulkhead& bulkhead : user_bulkheads_) {
      const Taken taken = take_places(bulkhead);
      if (taken == Taken::none) return {Verdict::shed, bulkhead.id, {}};
      if (taken == Taken::unlimited) continue;
      holding.of_user[holding.user_permits++] = {bulkhead.first.entry, bulkhead.id,
                                                 static_cast<std::uint8_t>(bulkhead.parts())};
    }
    for (const SharedRate& rate : shared_rates_) {
      const std::uint64_t wait = TokenBucket(*rate.tat).admit(rate.params, now_, ask_.cost, rate.seen);
      if (wait != 0) return throttled(wait, rate.id);
      ++spent_shared_;
    }
    for (UserRate& rate : user_rates_) {
      if (const Decision decision = spend(rate); !decision) return decision;
      ++spent_user_;
    }
    return {};
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
      const auto outcome =
          decider_.users_.update(key_of_part(part), entry_of(bulkhead.id, part), where, change);
      if (outcome == UserTable::Outcome::changed) return outcome;
      if (outcome == UserTable::Outcome::full) worst = outcome;
    }
    return worst;
  }

  Decision spend(UserRate& rate) noexcept {
    const SpendTokens change{base(), rate.params, ask_.cost};
    switch (decider_.users_.update(ask_.key, entry_of(rate.id), rate.seen, change)) {
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

  // What a full table does to a new user, counted. @return whether it passes.
  bool count_full() noexcept {
    UserTableCounters& counters = decider_.users_.counters();
    const bool passes = when_full() == TableFull::admit;
    (passes ? counters.unlimited : counters.refused).fetch_add(1, std::memory_order_relaxed);
    return passes;
  }

  void undo(Holding& holding) noexcept {
    for (UserRate& rate : user_rates_) {
      if (spent_user_-- == 0) break;
      decider_.users_.modify(ask_.key, entry_of(rate.id), rate.seen.entry,
                             [&](std::uint64_t tat) -> std::optional<std::uint64_t> {
                               if (gcra::debt(tat, now_) == 0) return std::nullopt;
                               return gcra::refunded(rate.params, tat, now_, ask_.cost);
                             });
    }
    for (const SharedRate& rate : shared_rates_) {
      if (spent_shared_-- == 0) break;
      TokenBucket(*rate.tat).refund(rate.params, now_, ask_.cost);
    }
    decider_.release(holding);
    holding.permits = holding.user_permits = 0;
  }

  [[nodiscard]] UserKey key_of_part(std::uint32_t part) const noexcept {
    return part < UserTable::kPartsTogether
               ? ask_.key
               : decider_.users_.key(ask_.user, part / UserTable::kPartsTogether);
  }

  [[nodiscard]] TableFull when_full() const noexcept {
    return static_cast<TableFull>(decider_.sections_.settings.when_full);
  }
  [[nodiscard]] UserChangeBase base() const noexcept {
    return {decider_.sections_.blocks, now_, when_full() == TableFull::evict};
  }

  const Decider& decider_;
  const Ask& ask_;
  std::uint64_t now_;
  Longest longest_;
  StepList<SharedBulkhead, 4> shared_bulkheads_;
  StepList<UserBulkhead, 4> user_bulkheads_;
  StepList<SharedRate, 2 * kMaxRates> shared_rates_;
  StepList<UserRate, 2 * kMaxRates> user_rates_;
  std::uint32_t spent_shared_ = 0;
  std::uint32_t spent_user_ = 0;
};

Decision Decider::admit(const Ask& ask, std::uint64_t now, Holding& holding) const noexcept {
  Attempt attempt(*this, ask, now);
  const Decision seen = attempt.look();
  return seen ? attempt.charge(holding) : seen;
}

Decision Decider::peek(const Ask& ask, std::uint64_t now) const noexcept {
  return Attempt(*this, ask, now).look();
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

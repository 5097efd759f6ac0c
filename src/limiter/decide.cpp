#include "limiter/decide.hpp"

#include <limits>

namespace weir::detail {
namespace {

Decision refusal(std::uint64_t wait, LimitId limit) noexcept {
  if (wait == kNever) return {Verdict::never, limit, {}};
  return {Verdict::throttled, limit, std::chrono::nanoseconds(ns_from_ticks(wait))};
}

/// The refusal that takes longest; the first of equals.
class Longest {
 public:
  void consider(std::uint64_t wait, LimitId limit) noexcept {
    if (wait > wait_) wait_ = wait, limit_ = limit;
  }
  [[nodiscard]] Decision decision() const noexcept {
    return wait_ == 0 ? Decision{} : refusal(wait_, limit_);
  }

 private:
  std::uint64_t wait_ = 0;
  LimitId limit_ = LimitId::none;
};

/// Spends tokens of one user's bucket in the user table.
struct UserCharge {
  const Plan& plan;
  TokenBucketParams params;
  std::uint32_t cost;
  std::uint64_t now;
  bool may_evict;
  mutable std::uint64_t wait = 0;              // of the last decline
  mutable std::uint64_t least_debt = kPinned;  // over the entries that were in the way

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t tat) const noexcept {
    wait = gcra::wait(params, tat, now, cost);
    if (wait != 0) return std::nullopt;
    return gcra::charged(params, tat, now, cost);
  }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t forgotten) const noexcept { return forgotten; }
  [[nodiscard]] std::uint64_t debt(UserLimit limit, std::uint64_t tat) const noexcept {
    if (plan.limit(limit) == nullptr) return 0;  // damage: an entry of no limit
    const std::uint64_t owed = gcra::debt(tat, now);
    least_debt = std::min(least_debt, owed);
    return owed;
  }
};
static_assert(UserChange<UserCharge>);

constexpr UserLimit user_limit(LimitId id) noexcept {
  return static_cast<UserLimit>(id);
}

}  // namespace

Decision Decider::look(const Ask& ask, std::uint64_t now) const noexcept {
  Longest longest;
  for (const SharedRate& rate : ask.plan.shared)
    longest.consider(rate.bucket->peek(rate.params, now, ask.cost), rate.id);
  if (ask.has_user) {
    for (const UserRate& rate : ask.plan.user) {
      const UserTable::Found found = users_.find(ask.user, user_limit(rate.id));
      longest.consider(gcra::wait(rate.params, found.entry != nullptr ? found.state : now, now, ask.cost),
                       rate.id);
    }
  }
  return longest.decision();
}

Decision Decider::admit(const Ask& ask, std::uint64_t now) const noexcept {
  const Decision seen = look(ask, now);
  return seen ? charge(ask, now) : seen;
}

Decision Decider::charge(const Ask& ask, std::uint64_t now) const noexcept {
  for (std::size_t i = 0; i < ask.plan.shared.size(); ++i) {
    const SharedRate& rate = ask.plan.shared[i];
    if (const std::uint64_t wait = rate.bucket->admit(rate.params, now, ask.cost); wait != 0) {
      refund_shared(ask, i, now);
      return refusal(wait, rate.id);
    }
  }
  if (!ask.has_user) return {};
  for (std::size_t i = 0; i < ask.plan.user.size(); ++i) {
    if (const Decision decision = charge_user(ask, ask.plan.user[i], now); !decision) {
      refund_user(ask, i, now);
      refund_shared(ask, ask.plan.shared.size(), now);
      return decision;
    }
  }
  return {};
}

Decision Decider::charge_user(const Ask& ask, const UserRate& rate, std::uint64_t now) const noexcept {
  const UserCharge change{plan_, rate.params, ask.cost, now, when_full_ == TableFull::evict};
  const UserLimit limit = user_limit(rate.id);
  switch (users_.update(ask.user, limit, users_.find(ask.user, limit), change)) {
    case UserTable::Outcome::changed:
      return {};
    case UserTable::Outcome::declined:
      return refusal(change.wait, rate.id);
    case UserTable::Outcome::full:
      break;
  }
  if (when_full_ == TableFull::admit) {
    users_.counters().unlimited.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  users_.counters().refused.fetch_add(1, std::memory_order_relaxed);
  return refusal(std::max<std::uint64_t>(1, change.least_debt == kPinned ? 1 : change.least_debt), rate.id);
}

void Decider::refund_shared(const Ask& ask, std::size_t charged, std::uint64_t now) const noexcept {
  for (std::size_t i = charged; i-- > 0;) {
    ask.plan.shared[i].bucket->refund(ask.plan.shared[i].params, now, ask.cost);
  }
}

void Decider::refund_user(const Ask& ask, std::size_t charged, std::uint64_t now) const noexcept {
  for (std::size_t i = charged; i-- > 0;) {
    const UserRate& rate = ask.plan.user[i];
    users_.modify(ask.user, user_limit(rate.id), [&](std::uint64_t tat) -> std::optional<std::uint64_t> {
      if (gcra::debt(tat, now) == 0) return std::nullopt;
      return gcra::refunded(rate.params, tat, now, ask.cost);
    });
  }
}

}  // namespace weir::detail

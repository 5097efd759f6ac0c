// SPDX-License-Identifier: Apache-2.0
#pragma once

// Plans: the limits of a request, compiled to the steps that its decision runs over.
//
// The blocks of the segment say where each limit lies and what it is. Finding that out again in every request took
// more than half the time of a decision. So the limits of an operation are compiled once, into private memory that
// does not change afterwards: addresses of words, unpacked parameters, ids. A decision reads nothing else to find its
// limits, and ranges of cells were checked when the plan was compiled.
//
//   Plan       the limits of an operation and the global ones, over all callers and of each user
//   UserSteps  the limits of each user; those of an override replace those of the plan
//
// Steps are lists by kind. Limits that only count follow those that are enforced.

#include <array>
#include <cstdint>
#include <span>

#include "weir/decision.hpp"

#include "policy/blocks.hpp"
#include "policy/breakers.hpp"
#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/lease.hpp"
#include "primitives/permits.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

/// The steps of one kind, at most N.
template <class Step, std::size_t N>
class Steps {
 public:
  /// Enforced steps are added before those that only count.
  void add(const Step& step, bool counts_only) noexcept {
    items_[count_++] = step;
    enforced_ += counts_only ? 0 : 1;
  }
  [[nodiscard]] std::span<const Step> enforced() const noexcept { return {items_.data(), enforced_}; }
  [[nodiscard]] std::span<const Step> counting() const noexcept {
    return {items_.data() + enforced_, static_cast<std::size_t>(count_ - enforced_)};
  }
  [[nodiscard]] std::span<const Step> all() const noexcept { return {items_.data(), count_}; }

  friend bool operator==(const Steps&, const Steps&) = default;

 private:
  std::uint32_t enforced_ = 0;
  std::uint32_t count_ = 0;
  std::array<Step, N> items_;
};

/// A rate over all callers.
struct RateStep {
  LimitRecord* record = nullptr;
  TokenBucketParams rate;
  LimitId id = LimitId::none;
  Lease* lease = nullptr;  ///< of this process; nullptr: it takes no tokens in advance
  LeaseTerms terms;        ///< of all processes

  [[nodiscard]] LeasedBucket leased_bucket() const noexcept {
    return {record->state, record->leased(), rate, terms};
  }

  friend bool operator==(const RateStep&, const RateStep&) = default;
};

/// A window over all callers.
struct WindowStep {
  LimitRecord* record = nullptr;
  SharedWindow window;
  LimitId id = LimitId::none;

  friend bool operator==(const WindowStep&, const WindowStep&) = default;
};

/// A concurrency limit over all callers.
struct PermitStep {
  LimitRecord* record = nullptr;
  Permits permits;               ///< every cell in which a permit may lie: see permit_cells()
  std::uint32_t first_cell = 0;  ///< where these cells begin in the section
  std::uint32_t limit = 0;
  LimitId id = LimitId::none;
  FirstLook first_look;

  friend bool operator==(const PermitStep&, const PermitStep&) = default;
};

/// A cooldown, of all callers or of each user.
struct CooldownStep {
  LimitRecord* record = nullptr;
  cooldown::Params params;
  LimitId id = LimitId::none;

  friend bool operator==(const CooldownStep&, const CooldownStep&) = default;
};

/// A rate or a window of each user.
struct UserQuotaStep {
  LimitRecord* record = nullptr;
  UserRule rule;
  LimitId id = LimitId::none;

  friend bool operator==(const UserQuotaStep&, const UserQuotaStep&) = default;
};

/// A concurrency limit of each user.
struct UserPermitStep {
  LimitRecord* record = nullptr;
  std::uint32_t limit = 0;
  std::uint32_t parts = 0;  ///< how many entries a user's permits may lie in: see permit_parts()
  LimitId id = LimitId::none;

  friend bool operator==(const UserPermitStep&, const UserPermitStep&) = default;
};

inline constexpr std::size_t kPlanScopes = 2;  ///< the global limits, and those of the operation

/// The limits over all callers.
struct SharedSteps {
  Steps<RateStep, kPlanScopes * kMaxRates> rates;
  Steps<PermitStep, kPlanScopes * 2> permits;
  Steps<WindowStep, kPlanScopes * kWindowRecords> windows;
  Steps<CooldownStep, kPlanScopes> cooldowns;
  BreakerRecord* breaker = nullptr;  ///< set for a shadow breaker, too, which must learn of every call
  LimitId breaker_id = LimitId::none;
  bool breaker_counts_only_rows = false;  ///< see BreakerRecord
  bool more_than_rates = false;           ///< whether anything else is enforced
  bool rare = false;                      ///< whether a window or a cooldown is

  friend bool operator==(const SharedSteps&, const SharedSteps&) = default;
};

/// The limits of each user. Quotas are its rates, and then its windows.
struct UserSteps {
  Steps<UserQuotaStep, kPlanScopes*(kMaxRates + kWindowRecords)> quotas;
  Steps<UserPermitStep, kPlanScopes * 2> permits;
  Steps<CooldownStep, kPlanScopes> cooldowns;
  bool rare = false;  ///< whether a cooldown is enforced

  [[nodiscard]] bool empty() const noexcept {
    return quotas.all().size() + permits.all().size() + cooldowns.all().size() == 0;
  }
  friend bool operator==(const UserSteps&, const UserSteps&) = default;
};

struct Context;
struct Holding;
/// The result of deciding a request.
enum class Answer : std::uint8_t {
  refused,
  admitted,           ///< the request holds nothing
  admitted_holding,   ///< the request holds something
  admitted_uncounted  ///< the request may hold something, and limits that only count must still be asked
};
/// A function that decides requests under plans of a certain shape: see limiter/decide.hpp.
using Decide = Answer(const Context&, Decision&, Holding&) noexcept;

struct Plan {
  std::uint32_t handle = 0;     ///< the number by which callers name the operation: see OperationHandles
  bool retired = false;         ///< a live change took the operation out
  bool overrides = false;       ///< whether some users have limits of their own
  bool of_users = false;        ///< whether any limit depends on the user
  bool counting = false;        ///< whether some limit only counts
  bool heeds_refusals = false;  ///< whether some limit may count refusals
  bool has_queue = false;       ///< whether requests may wait
  std::uint32_t block = 0;      ///< of the operation
  std::uint32_t tenancy = 0;    ///< how many names that block had before
  LimitId waits_for = LimitId::none;  ///< the limit that is named to a request which must wait for others
  // These decide requests of cost and weight 1 by a worker with a slot: of a user that has no override, and without a
  // user.
  Decide* decide_for_user = nullptr;
  Decide* decide_for_nobody = nullptr;
  // The same where requests may wait, and none goes before this one.
  Decide* next_for_user = nullptr;
  Decide* next_for_nobody = nullptr;
  SharedSteps shared;
  UserSteps user;

  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace weir::detail

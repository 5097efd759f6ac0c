// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the code of a decision knows beforehand about the plan and the request.
//
// Deciding is one template over a shape. AnyShape knows nothing: loops are as long as the lists of the plan. A Shape
// knows the number of limits of each kind, so there are no loops, and what looking has met stays in registers. Which
// of them serves a plan is chosen when it is compiled (choose_ways()).
//
// Code over a shape is inlined, and calls get values, not references to what it has met: an address that leaves it
// would force all of that into memory.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "limiter/context.hpp"
#include "plan/plan.hpp"

#define WEIR_INLINE __attribute__((always_inline))

namespace weir::detail {

/// The number of limits of one kind, known to the compiler: looking at each of them needs no loop.
template <std::size_t kCount>
struct Known {
  static constexpr std::size_t kMost = kCount;
  /// Calls visit(0), visit(1), ... as long as they return true. @return whether all did.
  template <class Visit>
  WEIR_INLINE bool each(Visit visit) const noexcept {
    return [&]<std::size_t... i>(std::index_sequence<i...>) __attribute__((always_inline)) {
      return (visit(i) && ...);
    }
    (std::make_index_sequence<kCount>());
  }
  /// The same from the last to the first.
  template <class Visit>
  WEIR_INLINE bool each_backwards(Visit visit) const noexcept {
    return each([&](std::size_t i) WEIR_INLINE { return visit(kCount - 1 - i); });
  }
};
/// The same for a number that is known only when it runs.
template <std::size_t kAtMost>
struct Counted {
  static constexpr std::size_t kMost = kAtMost;
  template <class Visit>
  WEIR_INLINE bool each(Visit visit) const noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      if (!visit(i)) return false;
    }
    return true;
  }
  template <class Visit>
  WEIR_INLINE bool each_backwards(Visit visit) const noexcept {
    return each([&](std::size_t i) WEIR_INLINE { return visit(count - 1 - i); });
  }
  std::size_t count;
};

/// What a decision may know beforehand. Here: the numbers of limits that are enforced, that no limit only counts,
/// that the request has cost and weight 1 and comes from a worker with a slot, that all quotas of users are rates, that
/// no rate is split, that there is nothing rare, and, unless kLeases, that no rate may be leased.
template <std::size_t kRates, std::size_t kPermits, std::size_t kUserPermits, std::size_t kQuotas,
          bool kBreaker, bool kLeases = false>
struct Shape {
  explicit Shape(const Context& /*context*/) noexcept {}
  static constexpr bool only_rates() noexcept { return never_holds() && kQuotas == 0; }
  static constexpr bool never_holds() noexcept { return kPermits + kUserPermits == 0 && !kBreaker; }
  static constexpr Known<kRates> rates() noexcept { return {}; }
  static constexpr Known<kPermits> permits() noexcept { return {}; }
  static constexpr Known<kUserPermits> user_permits() noexcept { return {}; }
  static constexpr Known<kQuotas> quotas() noexcept { return {}; }
  static constexpr bool breaker() noexcept { return kBreaker; }
  static constexpr bool counting() noexcept { return false; }
  static constexpr bool rare() noexcept { return false; }
  static constexpr bool rates_in_ticks() noexcept { return true; }
  static constexpr bool leases() noexcept { return kLeases; }
  static constexpr std::uint32_t cost() noexcept { return 1; }
  static constexpr std::uint32_t weight() noexcept { return 1; }
  static constexpr bool has_owner() noexcept { return true; }

  static bool fits(const SharedSteps& shared, const UserSteps& users) noexcept {
    return !shared.rare && !users.rare && shared.rates.enforced().size() == kRates &&
           shared.permits.enforced().size() == kPermits && users.permits.enforced().size() == kUserPermits &&
           users.quotas.enforced().size() == kQuotas && (shared.breaker != nullptr) == kBreaker &&
           (kLeases || std::ranges::none_of(shared.rates.enforced(), may_be_leased)) &&
           are_in_ticks(shared.rates.enforced(), users.quotas.enforced());
  }

 private:
  static bool may_be_leased(const RateStep& step) noexcept { return step.terms.any(); }
  static bool are_in_ticks(std::span<const RateStep> rates, std::span<const UserQuotaStep> quotas) noexcept {
    const auto is_split = [](const RateStep& step) { return step.rate.is_split(); };
    const auto is_in_ticks = [](const UserQuotaStep& step) {
      return step.rule.kind() == UserRule::Kind::rate;
    };
    return std::ranges::none_of(rates, is_split) && std::ranges::all_of(quotas, is_in_ticks);
  }
};

/// Knows nothing beforehand: it serves any plan and any request.
struct AnyShape {
  explicit AnyShape(const Context& context) noexcept
      : shared_(context.plan->shared),
        users_(*context.users),
        request_(context.request),
        has_owner_(context.owner),
        counting_(context.plan->counting) {}
  [[nodiscard]] bool only_rates() const noexcept {
    return !shared_.more_than_rates && &users_ == &kNoUserSteps;
  }
  static constexpr bool never_holds() noexcept { return false; }
  [[nodiscard]] auto rates() const noexcept { return counted(shared_.rates); }
  [[nodiscard]] auto permits() const noexcept { return counted(shared_.permits); }
  [[nodiscard]] auto user_permits() const noexcept { return counted(users_.permits); }
  [[nodiscard]] auto quotas() const noexcept { return counted(users_.quotas); }
  [[nodiscard]] bool breaker() const noexcept { return shared_.breaker != nullptr; }
  [[nodiscard]] bool counting() const noexcept { return counting_; }
  [[nodiscard]] bool rare() const noexcept { return shared_.rare || users_.rare; }
  static constexpr bool rates_in_ticks() noexcept { return false; }
  static constexpr bool leases() noexcept { return true; }
  [[nodiscard]] std::uint32_t cost() const noexcept { return request_.cost; }
  [[nodiscard]] std::uint32_t weight() const noexcept { return request_.weight; }
  [[nodiscard]] bool has_owner() const noexcept { return has_owner_; }

 private:
  template <class Step, std::size_t kAtMost>
  static Counted<kAtMost> counted(const Steps<Step, kAtMost>& steps) noexcept {
    return {steps.enforced().size()};
  }

  const SharedSteps& shared_;
  const UserSteps& users_;
  const Request& request_;
  bool has_owner_;
  bool counting_;
};

}  // namespace weir::detail

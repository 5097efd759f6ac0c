#pragma once

// One decision over all limits of a request: look at every limit, then charge them all, or none.
//
// Looking only loads. If any limit refuses, the one that takes longest is the answer. Charging goes in a
// fixed order, shared before user: permits, the breaker's probe, rates, windows; last what cannot be given
// back exactly. When one limit refuses after all (somebody was faster), what was charged is given back; in
// between others may be refused for what comes back, which errs on the side of refusing.
//
// Limits that only count (shadow, candidate) are charged apart, whatever the answer is: each as if it were
// the only one.
//
// Crash  killed while charging: permits and probes are swept; tokens charged so far are spent for nothing,
//        and time refills them.

#include <array>
#include <cstdint>
#include <optional>

#include "weir/admission.hpp"
#include "weir/decision.hpp"
#include "weir/policy.hpp"

#include "base/owner.hpp"
#include "policy/schema.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What one request asks for.
struct Ask {
  std::uint32_t operation = 0;  ///< its block
  std::uint32_t user_block =
      0;                  ///< of a user with limits of its own; 0: the operation's, and the global ones
  bool has_user = false;  ///< the request names a user to whom limits may apply
  std::string_view name;  ///< of the user
  Hash128 user{};
  UserKey key{};  ///< of `user`
  std::uint32_t cost = 1;
  std::uint32_t weight = 1;
  Owner owner{};           ///< who will hold the permits; nobody: all bulkheads shed
  std::uint32_t home = 0;  ///< where the caller's thread looks for free permits first
};

class Decider {
 public:
  Decider(const Sections& sections, UserTable& users) noexcept : sections_(sections), users_(users) {}

  /// @param now      ticks since the segment's epoch.
  /// @param holding  receives what an admission has to give back.
  [[nodiscard]] Decision admit(const Ask& ask, std::uint64_t now, Holding& holding) const noexcept;

  /// Whether there are limits that only count.
  [[nodiscard]] bool counts(const Ask& ask) const noexcept {
    const auto counting = [&](std::uint32_t block) {
      return (sections_.blocks[block].present.load(std::memory_order_relaxed) & ~kRetired) >> 32;
    };
    return (counting(kGlobalBlock) | counting(ask.operation) |
            (ask.user_block != 0 ? counting(ask.user_block) : 0)) != 0;
  }

  /// Counts for them, after all is decided.
  void count(const Ask& ask, std::uint64_t now, bool admitted, Holding& holding) const noexcept;

  /// Notes a refusal where a cooldown waits for it.
  void note_refusal(const Ask& ask, std::uint64_t now, LimitId refused_by) const noexcept;

  /// What `admit` would answer. Only loads.
  [[nodiscard]] Decision peek(const Ask& ask, std::uint64_t now) const noexcept;

  /// Calls visit(LimitPlace) for every enforced rate and window that a request of `ask` passes.
  template <class Visit>
  void for_each_quota(const Ask& ask, Visit&& visit) const {
    constexpr LineMask kQuotas = lines::kRates | lines::kWindows;
    const auto all = [&](std::uint32_t index, LineMask scope) {
      const auto present =
          static_cast<LineMask>(sections_.blocks[index].present.load(std::memory_order_acquire));
      for (const std::uint32_t line : LineRange(present & scope & (kQuotas | kQuotas << kScopeLines))) {
        visit(LimitPlace{index, line});
      }
    };
    all(kGlobalBlock, lines::kShared);
    all(ask.operation, lines::kShared);
    if (!ask.has_user) return;
    if (ask.user_block != 0) return all(ask.user_block, lines::kUser);
    all(kGlobalBlock, lines::kUser);
    all(ask.operation, lines::kUser);
  }

  /// Counts in every fixed window, above the limits too. @return the one that is furthest over its limit.
  [[nodiscard]] std::optional<WindowCount> count_in_fixed_windows(const Ask& ask,
                                                                  std::uint64_t now) const noexcept;

  /// Spends under every rate and window, whether it conforms or not.
  void charge(const Ask& ask, std::uint64_t now) const noexcept;

  /// Gives back what an admission at `charged_at` spent under every rate and window.
  void refund(const Ask& ask, std::uint64_t now, std::uint64_t charged_at) const noexcept;

  /// Gives permits back. @return how many of them had been taken back before.
  std::uint32_t release(const Holding& holding) const noexcept;

 private:
  class Attempt;

  std::uint32_t give_back_user(const HeldUserPermits& held, Hash128 user, Owner owner,
                               std::uint32_t weight) const noexcept;

  const Sections& sections_;
  UserTable& users_;
};

}  // namespace weir::detail

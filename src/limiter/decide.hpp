#pragma once

// One decision over all limits of a request: look at every limit, then charge them all, or none.
//
// Looking only loads. If any limit refuses, the one that takes longest is the answer. Charging goes in a
// fixed order: permits, shared before user, then rates, shared before user. When one limit refuses after all
// (somebody was faster), what was charged is given back; in between others may be refused for what comes
// back, which errs on the side of refusing.
//
// Crash  killed while charging: permits are swept; tokens charged so far are spent for nothing, and time
// refills them.

#include <cstdint>

#include "weir/admission.hpp"
#include "weir/decision.hpp"
#include "weir/policy.hpp"

#include "limiter/plan.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What one request asks for.
struct Ask {
  const OperationPlan& plan;
  Hash128 user{};
  UserKey key{};          ///< of `user`
  bool has_user = false;  ///< the request names a user, and there are limits per user
  std::uint32_t cost = 1;
  std::uint32_t weight = 1;
  Owner owner{};           ///< who will hold the permits; nobody: all bulkheads shed
  std::uint32_t home = 0;  ///< where the caller's thread looks for free permits first
};

class Decider {
 public:
  Decider(const Plan& plan, UserTable& users, TableFull when_full) noexcept
      : plan_(plan), users_(users), when_full_(when_full) {}

  /// @param now      ticks since the segment's epoch.
  /// @param holding  receives the permits of an admission.
  [[nodiscard]] Decision admit(const Ask& ask, std::uint64_t now, Holding& holding) const noexcept;

  /// Gives permits back. @return how many of them had been taken back before.
  std::uint32_t release(const OperationPlan& plan, const Holding& holding) const noexcept;

 private:
  class Charge;
  /// A user's entries that looking has met: they save the charge a search. Filled in as far as there are
  /// limits.
  struct Looked {
    std::array<UserTable::Found, 4> rates;   ///< of the first rates
    std::array<UserTable::Found, 2> places;  ///< of the first part of each bulkhead
  };

  [[nodiscard]] Decision look(const Ask& ask, std::uint64_t now, Looked& looked) const noexcept;
  [[nodiscard]] std::uint32_t permits_held(const Ask& ask, const UserBulkhead& bulkhead,
                                           UserTable::Found& first) const noexcept;
  [[nodiscard]] UserKey key_of_part(const Ask& ask, std::uint32_t part) const noexcept;
  std::uint32_t give_back_user(const UserBulkhead& bulkhead, Hash128 user, Owner owner, std::uint32_t weight,
                               void* hint) const noexcept;

  const Plan& plan_;
  UserTable& users_;
  TableFull when_full_;
};

}  // namespace weir::detail

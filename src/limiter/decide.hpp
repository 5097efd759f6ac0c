#pragma once

// One decision over all limits of a request: look at every limit, then charge them all, or none.
//
// Looking only loads. If any limit refuses, the one that takes longest is the answer. Charging goes in the
// order of the plan, shared before user; when one limit refuses after all (somebody was faster), what was
// charged is given back. In between others may be refused for tokens that come back: an error on the side of
// refusing.
//
// Crash  killed while charging: the tokens charged so far are spent for nothing; time refills them.

#include <cstdint>
#include <string_view>

#include "weir/decision.hpp"
#include "weir/policy.hpp"

#include "limiter/plan.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What one request asks for. `user` is meaningful if `has_user`.
struct Ask {
  const OperationPlan& plan;
  UserKey user{};
  bool has_user = false;
  std::uint32_t cost = 1;
};

class Decider {
 public:
  Decider(const Plan& plan, UserTable& users, TableFull when_full) noexcept
      : plan_(plan), users_(users), when_full_(when_full) {}

  /// @param now  ticks since the segment's epoch.
  [[nodiscard]] Decision admit(const Ask& ask, std::uint64_t now) const noexcept;

  /// What `admit` would answer, without charging.
  [[nodiscard]] Decision look(const Ask& ask, std::uint64_t now) const noexcept;

 private:
  [[nodiscard]] Decision charge(const Ask& ask, std::uint64_t now) const noexcept;
  [[nodiscard]] Decision charge_user(const Ask& ask, const UserRate& rate, std::uint64_t now) const noexcept;
  void refund_shared(const Ask& ask, std::size_t charged, std::uint64_t now) const noexcept;
  void refund_user(const Ask& ask, std::size_t charged, std::uint64_t now) const noexcept;

  const Plan& plan_;
  UserTable& users_;
  TableFull when_full_;
};

}  // namespace weir::detail

#pragma once

// A rate or a window of each user, as a request meets it.

#include <cstdint>

#include "limiter/ask.hpp"
#include "limiter/user_changes.hpp"
#include "policy/user_rule.hpp"
#include "users/table.hpp"

namespace weir::detail {

class UserQuota {
 public:
  UserQuota(const Context& context, std::uint32_t place, const UserRule& rule) noexcept
      : rule_(rule),
        place_(place),
        entry_(entry_of(context.ask.limits.id(place))),
        seen_(context.users.find(context.ask.key, entry_)) {}

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }

  /// Ticks until the request conforms; 0: it does now.
  [[nodiscard]] std::uint64_t wait(const Context& context) const noexcept {
    const std::uint64_t state = seen_.entry != nullptr ? seen_.state : rule_.at_rest(context.now);
    return rule_.wait(state, context.now, context.ask.cost);
  }

  /// @return 0: spent; else the ticks until it conforms.
  std::uint64_t spend(const Context& context) noexcept {
    const Spend change{UserChangeBase(context), rule_, context.ask.cost};
    const bool is_new = seen_.entry == nullptr;
    const UserTable::Outcome outcome = context.users.update(context.ask.key, entry_, seen_, change);
    if (outcome == UserTable::Outcome::changed && !is_new) [[likely]]
      return 0;
    return spend_unusual(context, outcome, change.wait, change.least_debt);
  }

 private:
  // New, refused after all, or without a place in the table.
  std::uint64_t spend_unusual(const Context& context, UserTable::Outcome outcome, std::uint64_t wait,
                              std::uint64_t least_debt) noexcept;

  UserRule rule_;
  std::uint32_t place_;
  UserLimit entry_;
  UserTable::Found seen_;
};

}  // namespace weir::detail

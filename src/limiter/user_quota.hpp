#pragma once

// A rate or a window of each user, as a request meets it.

#include <cstdint>

#include "limiter/ask.hpp"
#include "policy/user_rule.hpp"
#include "users/table.hpp"

namespace weir::detail {

class UserQuota {
 public:
  [[gnu::always_inline]] UserQuota(const Context& context, std::uint32_t place, const UserRule& rule) noexcept
      : place_(place),
        entry_(entry_of(context.ask.limits.id(place))),
        seen_(context.users.find(context.ask.key, entry_)),
        judged_(rule.judge(seen_.entry != nullptr ? seen_.state : rule.at_rest(context.now), context.now,
                           context.ask.cost)) {}

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }

  /// Ticks until the request conforms; 0: it does now.
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until it conforms.
  std::uint64_t spend(const Context& context) const noexcept {
    if (judged_.wait != 0) return judged_.wait;
    if (context.users.exchange(context.ask.key, entry_, seen_, judged_.charged)) [[likely]]
      return 0;
    return spend_anew(context);
  }

 private:
  // Overtaken, or new.
  [[nodiscard]] std::uint64_t spend_anew(const Context& context) const noexcept;

  std::uint32_t place_;
  UserLimit entry_;
  UserTable::Found seen_;
  gcra::Judgement judged_;
};

}  // namespace weir::detail

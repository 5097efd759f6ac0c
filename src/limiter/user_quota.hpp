// SPDX-License-Identifier: Apache-2.0
#pragma once

// A rate or a window of each user, as a request meets it.

#include <cstdint>

#include "limiter/context.hpp"
#include "policy/turn.hpp"
#include "policy/user_rule.hpp"
#include "users/table.hpp"

namespace weir::detail {

class UserQuota {
 public:
  [[gnu::always_inline]] UserQuota(const Context& context, const UserQuotaStep& step,
                                   std::uint32_t cost) noexcept
      : step_(&step),
        seen_(context.user_table.find(context.key, entry_of(step.id))),
        judged_(step.rule.judge(seen_.entry != nullptr ? seen_.state : step.rule.at_rest(context.now),
                                context.now, cost)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }

  /// Ticks until the request conforms; 0: it does now.
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until it conforms.
  [[gnu::always_inline]] std::uint64_t spend(const Context& context) const noexcept {
    if (judged_.wait != 0) return judged_.wait;
    // The turn after the state: what others wrote under another length is not taken for a state of this one. That of
    // a rate means the same under any.
    const bool is_of_rule =
        step_->rule.is_rate() || stood_still(context.sections.control->turn, context.turn);
    const bool spent =
        is_of_rule && context.user_table.exchange(context.key, entry_of(id()), seen_, judged_.charged);
    if (spent) [[likely]]
      return 0;
    return spend_again(context, *step_, seen_.entry == nullptr);
  }

 private:
  // Another process was faster, or the user is new, or limits are being changed.
  [[nodiscard]] static std::uint64_t spend_again(const Context& context, const UserQuotaStep& step,
                                                 bool is_new) noexcept;

  const UserQuotaStep* step_;
  UserTable::Found seen_;
  gcra::Judgement judged_;
};

}  // namespace weir::detail

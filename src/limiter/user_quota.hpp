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
  /// @param in_ticks  whether the caller knows that this is a rate that is not split.
  [[gnu::always_inline]] UserQuota(const Context& context, const UserQuotaStep& step, std::uint32_t cost,
                                   bool in_ticks = false) noexcept
      : step_(&step), seen_(context.user_table.find(context.key, entry_of(step.id))) {
    if (in_ticks) assume_in_ticks();
    const std::uint64_t state = seen_.entry != nullptr ? seen_.state : step.rule.at_rest(context.now);
    judged_ = step.rule.judge(state, context.now, cost);
  }

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }

  /// Ticks until the request conforms; 0: it does now.
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until it conforms.
  [[gnu::always_inline]] std::uint64_t spend(const Context& context, bool in_ticks = false) const noexcept {
    if (judged_.wait != 0) return judged_.wait;
    if (in_ticks) assume_in_ticks();
    // The turn is read after the state, so that a state which another process wrote under another length of a window is
    // not taken for one of this length. The state of a rate means the same under any rate.
    const bool is_of_rule =
        step_->rule.is_rate() || stood_still(context.sections.control->turn, context.turn);
    const bool spent = is_of_rule && context.user_table.exchange(seen_, judged_.charged);
    if (spent) [[likely]]
      return 0;
    return spend_again(context, *step_, seen_.entry == nullptr);
  }

 private:
  /// Tells the compiler what was found out before.
  [[gnu::always_inline]] void assume_in_ticks() const noexcept {
    if (step_->rule.kind() != UserRule::Kind::rate) __builtin_unreachable();
  }

  // Another process was faster, or the user is new, or limits are being changed.
  [[nodiscard]] static std::uint64_t spend_again(const Context& context, const UserQuotaStep& step,
                                                 bool is_new) noexcept;

  const UserQuotaStep* step_;
  UserTable::Found seen_;
  gcra::Judgement judged_;
};

}  // namespace weir::detail

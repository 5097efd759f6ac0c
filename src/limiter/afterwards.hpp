// SPDX-License-Identifier: Apache-2.0
#pragma once

// What happens to limits outside of a decision: after it, or instead of it.

#include <cstdint>
#include <optional>

#include "weir/decision.hpp"

#include "limiter/context.hpp"

namespace weir::detail {

/// Spends under every rate and window, also those that only count, whether it conforms or not.
void charge(const Context& context) noexcept;

/// Gives back what an admission at `charged_at` spent under every rate and window, or under one of them, as
/// far as it is still owed: by the clock as it stands then, not by that of the request, which may be long
/// ago.
void refund(const Context& context, std::uint64_t charged_at) noexcept;
void refund(const Context& context, const RateStep& step, std::uint64_t charged_at) noexcept;
void refund(const Context& context, const WindowStep& step, std::uint64_t charged_at) noexcept;
void refund(const Context& context, const UserQuotaStep& step, std::uint64_t charged_at) noexcept;

/// Gives back what an admission at `charged_at` spent, whatever became of the limits since then: nothing under a limit
/// that it may not have been charged under.
void refund_admission(const Context& context, std::uint64_t charged_at) noexcept;

/// Counts in every fixed window, above the limits too. @return the one that is furthest over its limit.
[[nodiscard]] std::optional<WindowCount> count_in_fixed_windows(const Context& context) noexcept;

/// The word of a cooldown over all callers; of the user, 0 if it has none.
[[nodiscard]] inline std::uint64_t shared_cooldown(const CooldownStep& step) noexcept {
  return step.record->state.load(std::memory_order_relaxed);
}
[[nodiscard]] inline std::uint64_t user_cooldown(const Context& context, const CooldownStep& step) noexcept {
  return context.user_table.find(context.key, entry_of(step.id)).state;
}

/// Counts a refusal towards the cooldown beside the limit that refused.
/// @return ticks for which that cooldown is on from now, if it is enforced; else 0.
std::uint64_t note_refusal(const Context& context, LimitId refused_by) noexcept;

/// An admission resets the count of consecutive refusals of a cooldown over all callers, or of the user.
void end_shared_streak(const CooldownStep& step) noexcept;
void end_user_streak(const Context& context, const CooldownStep& step) noexcept;

}  // namespace weir::detail

#pragma once

// What happens to limits outside of a decision: after it, or instead of it.

#include <cstdint>
#include <optional>

#include "weir/decision.hpp"

#include "limiter/ask.hpp"
#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"

namespace weir::detail {

[[nodiscard]] inline SharedWindow shared_window(const Context& context, std::uint32_t place) noexcept {
  return {context.ask.limits.line(place), context.sections.window_cells, context.sections.created_wall_ns};
}
[[nodiscard]] inline UserRule user_rule(const Context& context, std::uint32_t place) noexcept {
  return UserRule::of(context.sections, LimitPlace::of(context.ask.limits.id(place)));
}

/// Spends under every rate and window, whether it conforms or not.
void charge(const Context& context) noexcept;

/// Gives back what an admission at `charged_at` spent under every rate and window, or under one of them, as
/// far as it is still owed: by the clock as it stands then, not by that of the request, which may be long
/// ago.
void refund(const Context& context, std::uint64_t charged_at) noexcept;
void refund(const Context& context, std::uint32_t place, std::uint64_t charged_at) noexcept;

/// Counts in every fixed window, above the limits too. @return the one that is furthest over its limit.
[[nodiscard]] std::optional<WindowCount> count_in_fixed_windows(const Context& context) noexcept;

/// The word of a cooldown; 0 of a user who has none.
[[nodiscard]] std::uint64_t cooldown_state(const Context& context, std::uint32_t place) noexcept;

/// Counts a refusal towards the cooldown beside the limit that refused.
/// @return ticks for which that cooldown is on from now, if it is enforced; else 0.
std::uint64_t note_refusal(const Context& context, LimitId refused_by) noexcept;

/// An admission resets the count of consecutive refusals.
void end_streaks(const Context& context, PlaceMask cooldowns) noexcept;

}  // namespace weir::detail

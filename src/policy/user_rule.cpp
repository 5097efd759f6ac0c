// SPDX-License-Identifier: Apache-2.0
#include "policy/user_rule.hpp"

namespace weir::detail {

gcra::Judgement UserRule::judge_rare(std::uint64_t state, std::uint64_t now,
                                     std::uint32_t cost) const noexcept {
  if (is_rate()) return gcra::judge(bucket(), state, now, cost);
  const std::uint64_t own = settled(state, now);
  const std::uint64_t wait = window_wait(own, now, cost);
  return {wait, wait == 0 ? window_charged(own, now, cost) : state};
}

std::int64_t UserRule::windows_from(std::uint64_t time, std::uint64_t state) const noexcept {
  if (kind_ == Kind::fixed) {
    return static_cast<std::int64_t>(fixed_window::epoch_of(length_, state) -
                                     fixed_window::epoch_at(fixed(), time));
  }
  return static_cast<std::int64_t>(user_window::epoch_of(length_, state) - time / length_);
}

std::uint32_t UserRule::counted(std::uint64_t state, std::uint64_t at) const noexcept {
  if (kind_ == Kind::fixed) return fixed_window::read(fixed(), state, at).count;
  const std::uint32_t most = user_window::max_limit(length_);
  return most - user_window::available({length_, most}, state, at);
}

std::uint64_t UserRule::in_new_units(std::uint64_t state, std::uint64_t now) const noexcept {
  UserRule old;
  old.set_window(packed::to_window(before_), created_wall_ns_);
  if (old.kind_ == kind_ && old.length_ == length_) return state;  // a change that did not come to its end
  if (is_own(state, now)) return state;
  // This clock may be late, so a state ahead of it may be in new units. In old units, states were written until the
  // change only.
  const std::int64_t old_since = old.windows_from(changed_at_, state);
  return old_since < -1 || old_since > 1 ? state : from(old, state);
}

std::uint64_t UserRule::settled_for_good(std::uint64_t state, std::uint64_t now) const noexcept {
  if (before_ == 0 || state == 0) return state;
  UserRule old;
  old.set_window(packed::to_window(before_), created_wall_ns_);
  if (old.kind_ == kind_ && old.length_ == length_) return state;
  return is_own(state, now) ? state : from(old, state);
}

bool UserRule::is_own(std::uint64_t state, std::uint64_t now) const noexcept {
  return windows_from(changed_at_, state) >= -1 && windows_from(std::max(now, changed_at_), state) <= 1;
}

std::uint64_t UserRule::from(const UserRule& old, std::uint64_t state) const noexcept {
  const std::int64_t old_since = old.windows_from(changed_at_, state);
  const std::uint32_t count = old_since < -1 || old_since > 1 ? 0 : old.counted(state, changed_at_);
  return count == 0 ? 0 : window_charged(0, changed_at_, count);
}

std::uint64_t UserRule::window_wait(std::uint64_t state, std::uint64_t now,
                                    std::uint32_t cost) const noexcept {
  switch (kind_) {
    case Kind::weighted:
      return user_window::wait(window(), state, now, cost);
    case Kind::fixed:
      return fixed_window::wait(fixed(), state, now, cost);
    default:
      return cooldown::wait(state, now);
  }
}

std::uint64_t UserRule::window_charged(std::uint64_t state, std::uint64_t now,
                                       std::uint32_t cost) const noexcept {
  switch (kind_) {
    case Kind::weighted:
      return user_window::charged(window(), state, now, cost);
    case Kind::fixed:
      return fixed_window::charged(fixed(), state, now, cost);
    default:
      return state;
  }
}

std::uint64_t UserRule::rare_at_rest(std::uint64_t time) const noexcept {
  switch (kind_) {
    case Kind::split_rate:
      return gcra::at_rest(bucket(), time);
    case Kind::weighted:
      return user_window::at_rest(window(), time);
    case Kind::fixed:
      return fixed_window::at_rest(fixed(), time);
    default:
      return 0;
  }
}

}  // namespace weir::detail

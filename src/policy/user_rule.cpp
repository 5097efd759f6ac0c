#include "policy/user_rule.hpp"

namespace weir::detail {

gcra::Judgement UserRule::judge_window(std::uint64_t state, std::uint64_t now,
                                       std::uint32_t cost) const noexcept {
  const std::uint64_t wait = window_wait(state, now, cost);
  return {wait, wait == 0 ? window_charged(state, now, cost) : state};
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

std::uint64_t UserRule::window_at_rest(std::uint64_t time) const noexcept {
  switch (kind_) {
    case Kind::weighted:
      return user_window::at_rest(window(), time);
    case Kind::fixed:
      return fixed_window::at_rest(fixed(), time);
    default:
      return 0;
  }
}

}  // namespace weir::detail

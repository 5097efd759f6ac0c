#include "policy/user_rule.hpp"

namespace weir::detail {

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

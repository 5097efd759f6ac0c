#pragma once

// What the state of a user's entry means under a rate, a window or a cooldown of each user. Pure.

#include <cstdint>

#include "policy/blocks.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/fixed_window.hpp"
#include "primitives/token_bucket.hpp"
#include "primitives/user_window.hpp"

namespace weir::detail {

class UserRule {
 public:
  enum class Kind : std::uint8_t { rate, weighted, fixed, cooldown };

  /// @param line  of a rate, a window or a cooldown of each user.
  [[nodiscard]] static UserRule of(const Sections& sections, LimitPlace place) noexcept {
    const std::uint64_t params =
        sections.blocks[place.block].limits[place.line].params.load(std::memory_order_relaxed);
    if (kind_of(place.line) == LimitKind::rate) return rate(packed::to_token_bucket(params));
    UserRule rule;
    if (kind_of(place.line) == LimitKind::cooldown) {
      rule.kind_ = Kind::cooldown;
      return rule;
    }
    const packed::WindowParams window = packed::to_window(params);
    rule.kind_ = window.kind == WindowKind::fixed ? Kind::fixed : Kind::weighted;
    rule.length_ = window.length();
    rule.limit_ = window.limit;
    if (rule.kind_ == Kind::fixed) {
      rule.origin_ = SharedWindow::fixed_origin(window.length_ms, sections.created_wall_ns);
    }
    return rule;
  }
  [[nodiscard]] static UserRule rate(TokenBucketParams params) noexcept {
    UserRule rule;
    rule.length_ = params.emission_interval;
    rule.limit_ = params.burst;
    return rule;
  }

  /// The wait of a request of `cost`, and the state after it if that is 0.
  [[nodiscard]] gcra::Judgement judge(std::uint64_t state, std::uint64_t now,
                                      std::uint32_t cost) const noexcept {
    return kind_ == Kind::rate ? gcra::judge(bucket(), state, now, cost) : judge_window(state, now, cost);
  }
  /// Ticks until a request of `cost` conforms; 0: it does now; kNever.
  [[nodiscard]] std::uint64_t wait(std::uint64_t state, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    return judge(state, now, cost).wait;
  }
  /// The state after a charge, for a cost that was known only after the work: above the limit too.
  [[nodiscard]] std::uint64_t overdrawn(std::uint64_t state, std::uint64_t now,
                                        std::uint32_t cost) const noexcept {
    return kind_ == Kind::rate ? gcra::overdrawn(bucket(), state, now, cost)
                               : window_charged(state, now, cost);
  }
  [[nodiscard]] std::uint64_t refunded(std::uint64_t state, std::uint64_t now, std::uint32_t cost,
                                       std::uint64_t charged_at) const noexcept {
    switch (kind_) {
      case Kind::rate:
        return gcra::refunded(bucket(), state, now, cost, charged_at);
      case Kind::weighted:
        return user_window::refunded(window(), state, now, cost, charged_at);
      case Kind::fixed:
        return fixed_window::refunded(fixed(), state, now, cost, charged_at);
      case Kind::cooldown:
        break;
    }
    return state;
  }
  /// The highest cost that conforms now.
  [[nodiscard]] std::uint32_t available(std::uint64_t state, std::uint64_t now) const noexcept {
    switch (kind_) {
      case Kind::rate:
        return gcra::available(bucket(), state, now);
      case Kind::weighted:
        return user_window::available(window(), state, now);
      case Kind::fixed:
        return fixed_window::available(fixed(), state, now);
      case Kind::cooldown:
        break;
    }
    return cooldown::wait(state, now) == 0 ? 1 : 0;
  }
  /// Ticks until the state equals "never seen"; 0: it does.
  [[nodiscard]] std::uint64_t debt(std::uint64_t state, std::uint64_t now) const noexcept {
    switch (kind_) {
      case Kind::rate:
        return gcra::debt(state, now);
      case Kind::weighted:
        return user_window::debt(window(), state, now);
      case Kind::fixed:
        return fixed_window::debt(fixed(), state, now);
      case Kind::cooldown:
        break;
    }
    return cooldown::debt(state, now);
  }
  /// The state of one who came to rest at `time` or before.
  [[nodiscard]] std::uint64_t at_rest(std::uint64_t time) const noexcept {
    return kind_ == Kind::rate ? time : window_at_rest(time);
  }

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

 private:
  // Apart from rates, so that those stay small enough to be inlined.
  [[nodiscard]] gcra::Judgement judge_window(std::uint64_t state, std::uint64_t now,
                                             std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t window_wait(std::uint64_t state, std::uint64_t now,
                                          std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t window_charged(std::uint64_t state, std::uint64_t now,
                                             std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t window_at_rest(std::uint64_t time) const noexcept;

  [[nodiscard]] TokenBucketParams bucket() const noexcept { return {length_, limit_}; }
  [[nodiscard]] WindowParams window() const noexcept { return {length_, limit_}; }
  [[nodiscard]] FixedWindowParams fixed() const noexcept { return {length_, origin_, limit_}; }

  Kind kind_ = Kind::rate;
  std::uint32_t limit_ = 0;   // or burst
  std::uint64_t length_ = 0;  // or emission interval; ticks
  std::uint64_t origin_ = 0;
};

}  // namespace weir::detail

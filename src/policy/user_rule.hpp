// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the state of a user's entry means under a rate, a window or a cooldown of each user. The functions are
// pure.
//
// The state of a window is numbered in units of its length, and means nothing under another length. So after a
// live change of length or kind the record keeps the old params and the time of the change. A late worker may
// still write a state under the old params. Its number tells it from a new one, and what it counts is treated
// as if it had been admitted when the limit changed. The next charge writes it in the new units, and the change
// itself goes through all states once.

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
  enum class Kind : std::uint8_t { rate, split_rate, weighted, fixed, cooldown };

  /// @param record  of a rate, a window or a cooldown of each user.
  template <bool kWritable>
  [[nodiscard]] static UserRule of(const BasicSections<kWritable>& sections, LimitRef ref) noexcept {
    const std::uint64_t params =
        sections.blocks[ref.block].limits[ref.index].params.load(std::memory_order_relaxed);
    if (kind_of(ref.index) == LimitKind::rate) return rate(packed::to_token_bucket(params));
    UserRule rule;
    if (kind_of(ref.index) == LimitKind::cooldown) {
      rule.kind_ = Kind::cooldown;
      return rule;
    }
    const LimitRecord& record = sections.blocks[ref.block].limits[ref.index];
    rule.set_window(packed::to_window(params), sections.created_wall_ns);
    // sync(changed): acquire; pairs with write_block(): with new params come those before them.
    std::atomic_thread_fence(std::memory_order_acquire);
    rule.before_ = record.before.load(std::memory_order_relaxed);
    if (rule.before_ == 0) [[likely]]
      return rule;
    rule.changed_at_ = record.changed.load(std::memory_order_relaxed);
    rule.created_wall_ns_ = sections.created_wall_ns;
    return rule;
  }
  [[nodiscard]] static UserRule rate(TokenBucketParams params) noexcept {
    UserRule rule;
    rule.length_ = params.emission_interval;
    rule.limit_ = params.burst;
    if (params.is_split()) rule.kind_ = Kind::split_rate;
    rule.parts_ = static_cast<std::uint16_t>(params.parts);
    return rule;
  }

  /// The wait of a request of `cost`, and the state after it if that is 0.
  [[nodiscard]] gcra::Judgement judge(std::uint64_t state, std::uint64_t now,
                                      std::uint32_t cost) const noexcept {
    return kind_ == Kind::rate ? gcra::judge_in_ticks(bucket(), state, now, cost)
                               : judge_rare(state, now, cost);
  }
  /// Ticks until a request of `cost` conforms; 0: it does now; kNever.
  [[nodiscard]] std::uint64_t wait(std::uint64_t state, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    return judge(state, now, cost).wait;
  }
  /// The state after a charge, for a cost that was known only after the work: above the limit too.
  [[nodiscard]] std::uint64_t overdrawn(std::uint64_t state, std::uint64_t now,
                                        std::uint32_t cost) const noexcept {
    return is_rate() ? gcra::overdrawn(bucket(), state, now, cost)
                     : window_charged(settled(state, now), now, cost);
  }
  [[nodiscard]] std::uint64_t refunded(std::uint64_t state, std::uint64_t now, std::uint32_t cost,
                                       std::uint64_t charged_at) const noexcept {
    switch (kind_) {
      case Kind::rate:
      case Kind::split_rate:
        return gcra::refunded(bucket(), state, now, cost, charged_at);
      case Kind::weighted:
        return user_window::refunded(window(), settled(state, now), now, cost, charged_at);
      case Kind::fixed:
        return fixed_window::refunded(fixed(), settled(state, now), now, cost, charged_at);
      case Kind::cooldown:
        break;
    }
    return state;
  }
  /// The highest cost that conforms now.
  [[nodiscard]] std::uint32_t available(std::uint64_t state, std::uint64_t now) const noexcept {
    switch (kind_) {
      case Kind::rate:
      case Kind::split_rate:
        return gcra::available(bucket(), state, now);
      case Kind::weighted:
        return user_window::available(window(), settled(state, now), now);
      case Kind::fixed:
        return fixed_window::available(fixed(), settled(state, now), now);
      case Kind::cooldown:
        break;
    }
    return cooldown::wait(state, now) == 0 ? 1 : 0;
  }
  /// Ticks until the state equals "never seen"; 0: it does.
  [[nodiscard]] std::uint64_t debt(std::uint64_t state, std::uint64_t now) const noexcept {
    switch (kind_) {
      case Kind::rate:
      case Kind::split_rate:
        return gcra::debt(bucket(), state, now);
      case Kind::weighted:
        return user_window::debt(window(), settled(state, now), now);
      case Kind::fixed:
        return fixed_window::debt(fixed(), settled(state, now), now);
      case Kind::cooldown:
        break;
    }
    return cooldown::debt(state, now);
  }
  /// The state of a user who came to rest at `time` or before.
  [[nodiscard]] std::uint64_t at_rest(std::uint64_t time) const noexcept {
    return kind_ == Kind::rate ? time : rare_at_rest(time);
  }

  /// The state in units of the params in force, for a process whose clock may be late.
  [[nodiscard]] std::uint64_t settled(std::uint64_t state, std::uint64_t now) const noexcept {
    return before_ == 0 || state == 0 ? state : in_new_units(state, now);
  }

  /// The same for a process that read the clock after the state: a state that lies ahead of that clock cannot
  /// have been written under the new params. So this one also recognises what came to rest before the change.
  [[nodiscard]] std::uint64_t settled_for_good(std::uint64_t state, std::uint64_t now) const noexcept;

  /// The count of the fixed window that `now` lies in.
  [[nodiscard]] fixed_window::Count count_in_fixed_window(std::uint64_t state,
                                                          std::uint64_t now) const noexcept {
    return fixed_window::read(fixed(), settled(state, now), now);
  }
  /// Of a rate: ticks from empty to full.
  [[nodiscard]] std::uint64_t depth() const noexcept { return bucket().depth(); }

  friend bool operator==(const UserRule&, const UserRule&) = default;

  [[nodiscard]] bool is_rate() const noexcept { return kind_ == Kind::rate || kind_ == Kind::split_rate; }
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

 private:
  void set_window(packed::WindowParams window, std::uint64_t created_wall_ns) noexcept {
    kind_ = window.kind == WindowKind::fixed ? Kind::fixed : Kind::weighted;
    length_ = window.length();
    limit_ = window.limit;
    if (kind_ == Kind::fixed) origin_ = SharedWindow::fixed_origin(window.length_ms, created_wall_ns);
  }
  /// How many windows lie between that of `time` and that of the state, which may be either.
  [[nodiscard]] std::int64_t windows_from(std::uint64_t time, std::uint64_t state) const noexcept;
  /// What a state counts at a moment, whatever the limit is.
  [[nodiscard]] std::uint32_t counted(std::uint64_t state, std::uint64_t at) const noexcept;
  [[nodiscard]] std::uint64_t in_new_units(std::uint64_t state, std::uint64_t now) const noexcept;
  /// Whether the number of a state says that it was written since the change.
  [[nodiscard]] bool is_own(std::uint64_t state, std::uint64_t now) const noexcept;
  /// The state under these params that counts as much as a state of the old window.
  [[nodiscard]] std::uint64_t from(const UserRule& old, std::uint64_t state) const noexcept;

  // Apart from rates in ticks, so that those stay small enough to be inlined.
  [[nodiscard]] gcra::Judgement judge_rare(std::uint64_t state, std::uint64_t now,
                                           std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t window_wait(std::uint64_t state, std::uint64_t now,
                                          std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t window_charged(std::uint64_t state, std::uint64_t now,
                                             std::uint32_t cost) const noexcept;
  [[nodiscard]] std::uint64_t rare_at_rest(std::uint64_t time) const noexcept;

  [[nodiscard]] TokenBucketParams bucket() const noexcept { return {length_, limit_, parts_}; }
  [[nodiscard]] WindowParams window() const noexcept { return {length_, limit_}; }
  [[nodiscard]] FixedWindowParams fixed() const noexcept { return {length_, origin_, limit_}; }

  Kind kind_ = Kind::rate;
  std::uint16_t parts_ = 0;   // of a rate
  std::uint32_t limit_ = 0;   // or burst
  std::uint64_t length_ = 0;  // or emission interval; ticks
  std::uint64_t origin_ = 0;
  std::uint64_t before_ = 0;  // params of a window before its length or kind changed; 0: never
  std::uint64_t changed_at_ = 0;
  std::uint64_t created_wall_ns_ = 0;
};

}  // namespace weir::detail

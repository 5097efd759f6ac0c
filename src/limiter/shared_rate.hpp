// SPDX-License-Identifier: Apache-2.0
#pragma once

// A rate over all users, as a request meets it: its bucket, or what this process has leased of it (primitives/lease.hpp).

#include <atomic>
#include <cstdint>

#include "limiter/context.hpp"
#include "limiter/shape.hpp"
#include "primitives/lease.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

class SharedRate {
 public:
  WEIR_INLINE SharedRate(const Context& context, const RateStep& step, std::uint32_t cost, bool in_ticks,
                         bool leases) noexcept
      : step_(&step) {
    if (leases) word_ = &step.record->state;
    if (leases && look_at_lease(context, cost)) return;
    // sync(leased): acquire; see LeasedBucket.
    seen_ = step.record->state.load(leases ? std::memory_order_acquire : std::memory_order_relaxed);
    judged_ = in_ticks ? gcra::judge_in_ticks(step.rate, seen_, context.now, cost)
                       : gcra::judge(step.rate, seen_, context.now, cost);
    if (leases && step.record->leased().load(std::memory_order_relaxed) != 0) [[unlikely]] {
      judged_.wait = wait_while_leased(step, seen_, context.now, cost);
      word_ = nullptr;
    }
  }

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint64_t wait() const noexcept { return judged_.wait; }

  /// @return 0: spent; else the ticks until the request conforms.
  WEIR_INLINE std::uint64_t spend(const Context& context, std::uint32_t cost, bool leases) const noexcept {
    std::uint64_t seen = seen_;
    if (!leases) {
      if (step_->record->state.compare_exchange(seen, judged_.charged, std::memory_order_relaxed)) [[likely]]
        return 0;
      return spend_again(*step_, context.now, cost);
    }
    if (word_ != nullptr && word_->compare_exchange(seen, judged_.charged, std::memory_order_relaxed))
        [[likely]] {
      return 0;
    }
    return spend_otherwise(context, *step_, cost, word_ != nullptr);
  }

 private:
  /// @return whether this process has leased what the request asks for.
  WEIR_INLINE bool look_at_lease(const Context& context, std::uint32_t cost) noexcept {
    Lease* const lease = context.lease_of(*step_);
    if (lease == nullptr || lease->size(step_->terms) == 0) return false;
    seen_ = lease->word();
    if (!Lease::covers(seen_, context.now, cost)) {
      word_ = nullptr;
      return false;
    }
    word_ = &lease->to_spend();
    judged_ = {0, seen_ - cost};
    return true;
  }

  // What is rare is not inline, and gets values only.
  [[nodiscard]] static std::uint64_t wait_while_leased(const RateStep& step, std::uint64_t tat,
                                                       std::uint64_t now, std::uint32_t cost) noexcept;
  // Another process was faster.
  static std::uint64_t spend_again(const RateStep& step, std::uint64_t now, std::uint32_t cost) noexcept;
  /// @param lost  another thread or process was faster.
  static std::uint64_t spend_otherwise(const Context& context, const RateStep& step, std::uint32_t cost,
                                       bool lost) noexcept;

  const RateStep* step_;
  Word* word_;  // the TAT or the lease; nullptr: to spend, more than an exchange is needed
  std::uint64_t seen_;
  gcra::Judgement judged_;
};

}  // namespace weir::detail

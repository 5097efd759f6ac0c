// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is noted while a decision looks at its limits: which one refuses, and for how long.

#include <chrono>
#include <cstdint>

#include "weir/decision.hpp"

#include "base/ticks.hpp"
#include "limiter/shape.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

/// Makes `decision` a refusal.
[[gnu::noinline]] inline void refuse(Decision& decision, Verdict verdict, std::uint64_t wait,
                                     LimitId limit) noexcept {
  const bool never = wait == kNever;
  decision = {never && verdict == Verdict::throttled ? Verdict::never : verdict, limit,
              std::chrono::nanoseconds(never ? 0 : ns_from_ticks(wait))};
  if (verdict == Verdict::shed) decision.cause = ShedCause::no_permit;
}

/// The refusal that takes longest, and of equal ones the first. A `never` takes longest of all, since no wait helps;
/// a missing permit counts as no wait, since it may be free at any moment.
class Longest {
 public:
  // Each of these returns whether to look at more limits: always, since another one may take longer.
  WEIR_INLINE bool wait(std::uint64_t ticks, LimitId id, Verdict verdict = Verdict::throttled) noexcept {
    if (ticks > wait_) [[unlikely]]
      wait_ = ticks, id_ = id, verdict_ = verdict;
    return true;
  }
  WEIR_INLINE bool no_permit(LimitId id) noexcept {
    if (shed_ == LimitId::none) shed_ = id;
    return true;
  }
  /// Treats this limit as if it had been met before the others: it is named if both take equally long.
  WEIR_INLINE bool wait_first(std::uint64_t ticks, LimitId id) noexcept {
    if (ticks != 0 && ticks >= wait_) [[unlikely]]
      wait_ = ticks, id_ = id, verdict_ = Verdict::throttled;
    return true;
  }
  [[nodiscard]] WEIR_INLINE bool passes() const noexcept { return wait_ == 0 && shed_ == LimitId::none; }

  WEIR_INLINE void tell(Decision& decision) const noexcept {
    if (wait_ != 0) return refuse(decision, verdict_, wait_, id_);
    refuse(decision, Verdict::shed, 0, shed_);
  }

 private:
  std::uint64_t wait_ = 0;
  LimitId id_ = LimitId::none;
  LimitId shed_ = LimitId::none;
  Verdict verdict_ = Verdict::throttled;
};

/// Whether any limit refuses. The first one that does ends the look.
struct AnyRefusal {
  // Each says whether to look on.
  WEIR_INLINE static bool wait(std::uint64_t ticks, LimitId /*id*/,
                               Verdict /*verdict*/ = Verdict::throttled) noexcept {
    return ticks == 0;
  }
  WEIR_INLINE static bool no_permit(LimitId /*id*/) noexcept { return false; }
  WEIR_INLINE static bool wait_first(std::uint64_t ticks, LimitId /*id*/) noexcept { return ticks == 0; }
  [[nodiscard]] static constexpr bool passes() noexcept { return true; }
};

}  // namespace weir::detail

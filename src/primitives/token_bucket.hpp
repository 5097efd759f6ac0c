// SPDX-License-Identifier: Apache-2.0
#pragma once

// A token bucket in one shared word.
//
// The word holds the theoretical arrival time (TAT): the instant, in ticks, at which the bucket is full
// again. A request of cost n moves it n emission intervals ahead, and conforms if it then lies within `burst`
// intervals of now. It needs no refill thread, no token count and no floating point.
//
// Progress  lock-free: a lost compare-exchange means that another request was decided.
// Ordering  relaxed: the word is the whole state, and publishes nothing else. The callback of update() may
//           read other words after this one, so the loads of update() acquire.
// Time      a late `now` may refuse, and never gives tokens back.
// Crash     one store decides. Killed before it: nothing is spent. After it: the tokens are spent, and time
//           refills them.
// Source    ITU-T I.371, generic cell rate algorithm, virtual scheduling.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/ticks.hpp"
#include "base/word.hpp"
#include "primitives/split_ticks.hpp"

namespace weir::detail {

/// Waiting does not help: the cost is above the burst.
inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// The deepest bucket that a policy may ask for: 208 days from empty to full.
inline constexpr std::uint64_t kMaxDepthTicks = std::uint64_t{1} << 61;

struct TokenBucketParams {
  std::uint64_t emission_interval = 0;  ///< ticks that earn one token
  std::uint32_t burst = 0;              ///< emission_interval * burst <= kMaxDepthTicks
  /// 0, or how the ticks of the interval, the depth and the TAT are split: see split_ticks.hpp.
  std::uint32_t parts = 0;

  [[nodiscard]] constexpr bool is_split() const noexcept { return parts != 0; }
  [[nodiscard]] constexpr std::uint64_t depth() const noexcept { return charge(burst); }
  /// What `cost` tokens add to a debt.
  [[nodiscard]] constexpr std::uint64_t charge(std::uint32_t cost) const noexcept {
    return is_split() ? SplitTicks(parts).times(emission_interval, cost) : emission_interval * cost;
  }
  friend constexpr bool operator==(const TokenBucketParams&, const TokenBucketParams&) = default;
};

/// The algorithm, over a TAT that the caller keeps (in a word of its own or in a user's entry).
namespace gcra {

/// Ticks until the bucket is full again; 0: at rest.
///
/// A TAT twice as far ahead as the deepest legal bucket reaches is damage. It counts as a full bucket,
/// because otherwise the user would be locked out for good. (A bound close to the bucket's own depth would
/// let a late clock refill it.)
[[nodiscard]] constexpr std::uint64_t debt(std::uint64_t tat, std::uint64_t now) noexcept {
  const std::uint64_t ahead = tat - now;  // wraps if the TAT has passed, and is then beyond the bound
  return ahead <= 2 * kMaxDepthTicks ? ahead : 0;
}

/// The judgement of a request.
struct Judgement {
  std::uint64_t wait;     ///< ticks until it conforms; 0: it does now
  std::uint64_t charged;  ///< the state after it, if it conforms: here a TAT
};

/// The same arithmetic in split ticks.
namespace split {

[[nodiscard]] constexpr std::uint64_t debt(SplitTicks ticks, std::uint64_t tat, std::uint64_t now) noexcept {
  return gcra::debt(ticks.from_word(tat), ticks.down(now));
}

/// The TAT after a debt from `now` on has become `charge` larger.
[[nodiscard]] constexpr std::uint64_t charged(SplitTicks ticks, std::uint64_t tat, std::uint64_t now,
                                              std::uint64_t charge) noexcept {
  const std::uint64_t begin = ticks.up(now);
  return begin + ticks.plus(gcra::debt(ticks.from_word(tat), begin), charge);
}

[[nodiscard, gnu::noinline]] constexpr Judgement judge(TokenBucketParams params, std::uint64_t tat,
                                                       std::uint64_t now, std::uint32_t cost) noexcept {
  const SplitTicks ticks(params.parts);
  const std::uint64_t charge = params.charge(cost);
  const std::uint64_t depth = params.depth();
  const std::uint64_t after = ticks.plus(debt(ticks, tat, now), charge);
  const std::uint64_t next = charged(ticks, tat, now, charge);
  if (cost > params.burst) return {kNever, next};
  return {after > depth ? ticks.up(ticks.minus(after, depth)) : 0, next};
}

[[nodiscard]] constexpr std::uint64_t refunded(TokenBucketParams params, std::uint64_t tat, std::uint64_t now,
                                               std::uint64_t charge, std::uint64_t charged_at) noexcept {
  const SplitTicks ticks(params.parts);
  const std::uint64_t refilled = now > charged_at ? ticks.up(now) - ticks.down(charged_at) : 0;
  const std::uint64_t owed = gcra::debt(ticks.from_word(tat), ticks.up(now));
  if (owed == 0 || charge <= refilled) return tat;
  const std::uint64_t credit = ticks.minus(charge, refilled);
  return ticks.up(now) + (owed > credit ? ticks.minus(owed, credit) : 0);
}

}  // namespace split

/// The debt of a rate, rounded up to whole ticks.
[[nodiscard]] constexpr std::uint64_t debt(TokenBucketParams params, std::uint64_t tat,
                                           std::uint64_t now) noexcept {
  if (!params.is_split()) return debt(tat, now);
  const SplitTicks ticks(params.parts);
  return ticks.up(split::debt(ticks, tat, now));
}

/// The TAT of a bucket that came to rest at `time`.
[[nodiscard]] constexpr std::uint64_t at_rest(TokenBucketParams params, std::uint64_t time) noexcept {
  return params.is_split() ? SplitTicks(params.parts).up(time) : time;
}

/// @param params  not split.
[[nodiscard]] constexpr Judgement judge_in_ticks(TokenBucketParams params, std::uint64_t tat,
                                                 std::uint64_t now, std::uint32_t cost) noexcept {
  const std::uint64_t after = debt(tat, now) + params.emission_interval * cost;
  const std::uint64_t depth = params.emission_interval * params.burst;
  if (cost > params.burst) [[unlikely]]
    return {kNever, now + after};
  return {after > depth ? after - depth : 0, now + after};
}

[[nodiscard]] constexpr Judgement judge(TokenBucketParams params, std::uint64_t tat, std::uint64_t now,
                                        std::uint32_t cost) noexcept {
  return params.is_split() ? split::judge(params, tat, now, cost) : judge_in_ticks(params, tat, now, cost);
}

/// Ticks until a request of `cost` conforms; 0: it does now.
[[nodiscard]] constexpr std::uint64_t wait(TokenBucketParams params, std::uint64_t tat, std::uint64_t now,
                                           std::uint32_t cost) noexcept {
  return judge(params, tat, now, cost).wait;
}

/// The TAT after a cost that was known only after the work. It may go as deep as it likes, short of damage.
[[nodiscard]] constexpr std::uint64_t overdrawn(TokenBucketParams params, std::uint64_t tat,
                                                std::uint64_t now, std::uint32_t cost) noexcept {
  const std::uint64_t most = kMaxDepthTicks / std::max<std::uint64_t>(params.emission_interval, 1);
  const std::uint64_t charge = params.charge(static_cast<std::uint32_t>(std::min<std::uint64_t>(cost, most)));
  if (params.is_split()) {
    const SplitTicks ticks(params.parts);
    return std::min(split::charged(ticks, tat, now, charge), ticks.up(now) + kMaxDepthTicks);
  }
  return now + std::min(debt(tat, now) + charge, kMaxDepthTicks);
}

/// The TAT after giving back `cost` tokens that were charged at `charged_at` (the `now` of that charge).
///
/// Gives back only what time cannot have refilled since then: the cost, less one token for each interval that
/// has passed. The debts of other requests may have been paid first, so that more of this cost is still owed,
/// but it is not known which of those debts will themselves be given back. With this rule the debt is never
/// below that of the charges that remain: each refund takes away at most what its own charge still adds,
/// because every charge that may yet be refunded counts as being paid off from the moment it was made.
[[nodiscard]] constexpr std::uint64_t refunded(TokenBucketParams params, std::uint64_t tat, std::uint64_t now,
                                               std::uint32_t cost, std::uint64_t charged_at) noexcept {
  const std::uint64_t charge = params.charge(std::min(cost, params.burst));
  if (params.is_split()) return split::refunded(params, tat, now, charge, charged_at);
  const std::uint64_t owed = debt(tat, now);
  const std::uint64_t refilled = now > charged_at ? now - charged_at : 0;
  const std::uint64_t credit = charge > refilled ? charge - refilled : 0;
  if (owed == 0 || credit == 0) return tat;
  return owed > credit ? tat - credit : now;
}

/// The TAT after a live change to a shallower bucket: no caller owes more than an empty bucket.
[[nodiscard]] constexpr std::uint64_t clamped(TokenBucketParams params, std::uint64_t tat,
                                              std::uint64_t now) noexcept {
  const std::uint64_t begin = at_rest(params, now);
  return debt(tat, begin) > params.depth() ? begin + params.depth() : tat;
}

/// Tokens that one request could spend now.
[[nodiscard]] constexpr std::uint32_t available(TokenBucketParams params, std::uint64_t tat,
                                                std::uint64_t now) noexcept {
  const std::uint64_t depth = params.depth();
  // A damaged word may say that a token takes no time.
  const std::uint64_t interval = std::max<std::uint64_t>(params.emission_interval, 1);
  if (!params.is_split())
    return static_cast<std::uint32_t>((depth - std::min(debt(tat, now), depth)) / interval);
  const SplitTicks ticks(params.parts);
  const std::uint64_t owed = std::min(split::debt(ticks, tat, now), depth);
  return static_cast<std::uint32_t>((ticks.to_parts(depth) - ticks.to_parts(owed)) /
                                    ticks.to_parts(interval));
}

}  // namespace gcra

/// A bucket over one shared word. 0 means full since the segment's creation, so zeroed memory is a valid
/// bucket.
class TokenBucket {
 public:
  explicit TokenBucket(Word& tat) noexcept : tat_(tat) {}

  /// Spends `cost` tokens if they are there. @return 0 if they were spent; otherwise the ticks until they
  /// will be there, or kNever.
  std::uint64_t admit(TokenBucketParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    std::uint64_t seen = tat();
    for (;;) {
      const gcra::Judgement judged = gcra::judge(params, seen, now, cost);
      if (judged.wait != 0) return judged.wait;
      if (tat_.compare_exchange(seen, judged.charged, std::memory_order_relaxed)) return 0;
    }
  }

  /// What `admit` would answer, without spending anything.
  [[nodiscard]] std::uint64_t wait(TokenBucketParams params, std::uint64_t now,
                                   std::uint32_t cost) const noexcept {
    return gcra::wait(params, tat(), now, cost);
  }

  /// Spends tokens whether they are there or not, for a cost that is known only after the work.
  void charge(TokenBucketParams params, std::uint64_t now, std::uint32_t cost) noexcept {
    std::uint64_t seen = tat();
    while (
        !tat_.compare_exchange(seen, gcra::overdrawn(params, seen, now, cost), std::memory_order_relaxed)) {
    }
  }

  /// Gives back what an `admit` of the same cost spent at `charged_at`, except for what time has refilled.
  /// @param clock  tells the time, and is called after the word was read. A process that is stopped before
  ///               the call gives back less; one that is stopped after it exchanges the word only if nothing
  ///               was charged meanwhile.
  template <class Clock>
  void refund(TokenBucketParams params, Clock&& clock, std::uint32_t cost,
              std::uint64_t charged_at) noexcept {
    update([&](std::uint64_t tat) { return gcra::refunded(params, tat, clock(), cost, charged_at); });
  }

  /// Changes the TAT to next(TAT). `next` is called after the word was read, so that whatever it reads is not
  /// older than the TAT, and the word is exchanged only if nothing was charged meanwhile.
  template <class Next>
  void update(Next&& next) noexcept {
    std::uint64_t seen = tat_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint64_t after = next(seen);
      if (after == seen) return;
      if (tat_.compare_exchange(seen, after, std::memory_order_relaxed, std::memory_order_acquire)) return;
    }
  }

  /// After a live change to a shallower bucket, limits the debt to that of an empty bucket.
  void clamp(TokenBucketParams params, std::uint64_t now) noexcept {
    update([&](std::uint64_t tat) { return gcra::clamped(params, tat, now); });
  }

  /// Fills the bucket.
  void reset() noexcept {
    std::uint64_t seen = tat();
    while (seen != 0 && !tat_.compare_exchange(seen, 0, std::memory_order_relaxed)) {
    }
  }

  [[nodiscard]] std::uint64_t tat() const noexcept { return tat_.load(std::memory_order_relaxed); }

 private:
  Word& tat_;
};

}  // namespace weir::detail

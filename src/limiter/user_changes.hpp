#pragma once

// What a limit does to its entry in the user table.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "policy/blocks.hpp"
#include "primitives/owner_set.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What the entry of any limit owes, in ticks; held permits are never forgotten.
inline std::uint64_t debt_of(std::span<const Block> blocks, UserLimit entry, std::uint64_t state,
                             std::uint64_t now) noexcept {
  const LimitPlace place = LimitPlace::of(LimitId{entry.id});
  if (place.block >= blocks.size()) return 0;  // damage: an entry of no limit
  switch (kind_of(place.line)) {
    case LimitKind::rate:
      return gcra::debt(state, now);
    case LimitKind::permits:
      return state == 0 ? 0 : kPinned;
    default:
      return 0;
  }
}

struct UserChangeBase {
  std::span<const Block> blocks;
  std::uint64_t now;
  bool may_evict;
  mutable std::uint64_t least_debt = kPinned;  ///< over the entries that were in the way

  [[nodiscard]] std::uint64_t debt(UserLimit entry, std::uint64_t state) const noexcept {
    const std::uint64_t owed = debt_of(blocks, entry, state, now);
    least_debt = std::min(least_debt, owed);
    return owed;
  }
};

/// Spends tokens of a user's bucket.
struct SpendTokens : UserChangeBase {
  TokenBucketParams params;
  std::uint32_t cost;
  mutable std::uint64_t wait = 0;  ///< of the last decline

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t tat) const noexcept {
    wait = gcra::wait(params, tat, now, cost);
    if (wait != 0) return std::nullopt;
    return gcra::charged(params, tat, now, cost);
  }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t forgotten) const noexcept { return forgotten; }
};
static_assert(UserChange<SpendTokens>);

/// Takes one permit of a user, in one of the entries that hold them.
struct TakePlace : UserChangeBase {
  owner_set::Place owner;
  std::uint32_t capacity;

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t set) const noexcept {
    return owner_set::add(set, owner, capacity);
  }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t /*forgotten*/) const noexcept { return 0; }
};
static_assert(UserChange<TakePlace>);

}  // namespace weir::detail

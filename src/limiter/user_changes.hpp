// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a request changes a user's entry under one limit, as steps of UserTable::update() and modify().

#include <algorithm>
#include <cstdint>
#include <optional>

#include "limiter/context.hpp"
#include "policy/events.hpp"
#include "policy/user_rule.hpp"
#include "primitives/owner_set.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What the entry of any limit owes, in ticks. An entry with held permits is never forgotten.
inline std::uint64_t debt_of(const Sections& sections, UserLimit entry, std::uint64_t state,
                             std::uint64_t now) noexcept {
  const LimitRef ref = LimitRef::of(LimitId{entry.id});
  if (entry.id == 0 || ref.block >= kMaxBlocks) return 0;  // damage: an entry of no limit
  if (kind_of(ref.index) == LimitKind::permits) return state == 0 ? 0 : kPinned;
  return UserRule::of(sections, ref).debt(state, now);
}

struct UserChangeBase {
  explicit UserChangeBase(const Context& context) noexcept
      : sections(context.sections), now(context.now), may_evict(context.when_full() == TableFull::evict) {}

  const Sections& sections;
  std::uint64_t now;
  bool may_evict;
  mutable std::uint64_t least_debt = kPinned;  ///< over the entries that were in the way

  [[nodiscard]] std::uint64_t debt(UserLimit entry, std::uint64_t state) const noexcept {
    const std::uint64_t owed = debt_of(sections, entry, state, now);
    least_debt = std::min(least_debt, owed);
    return owed;
  }

  /// A user that owes something was forgotten to make room.
  [[gnu::cold, gnu::noinline]] void has_evicted() const noexcept {
    write_sparse_event(sections,
                       {.kind = EventKind::evicting,
                        .value = sections.user_counters->evicted.load(std::memory_order_relaxed),
                        .of = sections.users.size() * UserBucket::kEntries},
                       now);
  }
};

[[gnu::cold, gnu::noinline]] inline void note_full_table(const Sections& sections,
                                                         std::uint64_t now) noexcept {
  const UserTableCounters& counters = *sections.user_counters;
  write_sparse_event(sections,
                     {.kind = EventKind::table_full,
                      .value = counters.refused.load(std::memory_order_relaxed) +
                               counters.unlimited.load(std::memory_order_relaxed),
                      .of = sections.users.size() * UserBucket::kEntries},
                     now);
}

/// Counts a new user for whom the table has no room. @return whether the request passes all the same.
inline bool passes_when_full(const Context& context) noexcept {
  UserTableCounters& counters = context.user_table.counters();
  const bool passes = context.when_full() == TableFull::admit;
  (passes ? counters.unlimited : counters.refused).fetch_add(1, std::memory_order_relaxed);
  note_full_table(context.sections, context.now);
  return passes;
}

/// A change of a rate or a window. It goes by the rule that is in force after the state was read: the state may have
/// been written under that rule, and its units would mean something else under an older one.
struct QuotaChange : UserChangeBase {
  LimitRef ref;
  std::uint32_t cost;

  [[nodiscard]] UserRule rule() const noexcept { return UserRule::of(sections, ref); }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t forgotten) const noexcept {
    return rule().at_rest(forgotten);
  }
};

/// Spends under a rate or a window.
struct Spend : QuotaChange {
  mutable std::uint64_t wait = 0;  ///< of the last decline

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t state) const noexcept {
    const gcra::Judgement judged = rule().judge(state, now, cost);
    wait = judged.wait;
    return wait == 0 ? std::optional(judged.charged) : std::nullopt;
  }
};
static_assert(UserChange<Spend>);

/// Spends whether it conforms or not.
struct Overdraw : QuotaChange {
  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t state) const noexcept {
    return rule().overdrawn(state, now, cost);
  }
};
static_assert(UserChange<Overdraw>);

/// Counts one more refusal towards a cooldown. While that is on, nothing is written.
struct NoteRefusal : UserChangeBase {
  cooldown::Params params;
  mutable std::uint64_t wait = 0;  ///< until the cooldown ends, in the state that is there afterwards

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t state) const noexcept {
    const std::uint64_t after = cooldown::refused(params, state, now);
    wait = cooldown::wait(after, now);
    return after == state ? std::nullopt : std::optional(after);
  }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t /*forgotten*/) const noexcept { return 0; }
};
static_assert(UserChange<NoteRefusal>);

/// Takes one permit of a user, in one of the entries that hold them.
struct TakePermits : UserChangeBase {
  owner_set::PackedOwner owner;
  std::uint32_t capacity;

  [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t set) const noexcept {
    return owner_set::add(set, owner, capacity);
  }
  [[nodiscard]] std::uint64_t never_seen(std::uint64_t /*forgotten*/) const noexcept { return 0; }
};
static_assert(UserChange<TakePermits>);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Permits as a request meets them: of all requests together, and of each user.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "weir/admission.hpp"

#include "limiter/context.hpp"
#include "limiter/held.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

class SharedBulkhead {
 public:
  [[gnu::always_inline]] SharedBulkhead(const Context& context, const PermitStep& step) noexcept
      : step_(&step), free_(step.permits.find_free(step.limit, context.hint()).value_or(kNoCell)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& context, std::uint32_t weight) const noexcept {
    return context.owner && free_ != kNoCell &&
           (weight == 1 || step_->permits.available(limit(), weight, context.hint()));
  }

  /// @return whether permits were taken; `holding` has them then, and `taken` is one more.
  [[gnu::always_inline]] bool take(const Context& context, std::uint32_t weight, Holding& holding,
                                   std::uint32_t& taken) noexcept {
    Permit permit;
    if (free_ != kNoCell && weight == 1) [[likely]]
      permit = Permits(step_->permits).take_at(context.owner, free_, context.now);
    if (!permit) [[unlikely]]
      permit = take_any(context, *step_, weight);
    if (!permit) [[unlikely]]
      return false;
    holding.cells[taken] = step_->first_cell + permit.cell;
    holding.limits[taken] = id();
    ++taken;
    return true;
  }

 private:
  [[nodiscard]] static Permit take_any(const Context& context, const PermitStep& step,
                                       std::uint32_t weight) noexcept;

  static constexpr std::uint32_t kNoCell = ~std::uint32_t{0};

  const PermitStep* step_;
  std::uint32_t free_;
};

/// A user's permits lie in one entry, or in sets of four permits each.
class UserBulkhead {
 public:
  [[gnu::always_inline]] UserBulkhead(const Context& context, const UserPermitStep& step) noexcept
      : step_(&step),
        first_(context.user_table.find(context.key, entry_of(step.id))),
        room_(step.parts == 1 ? Room{step.limit, owner_set::count(first_.state)} : room(context, step)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& context, std::uint32_t weight) const noexcept {
    return context.owner && room_.held + weight <= limit();
  }

  /// @return whether the request may go on: also without permits, where a full table lets new users pass. With
  ///         them, `holding` has them, and `taken` is one more.
  [[gnu::always_inline]] bool take(const Context& context, std::uint32_t weight, Holding& holding,
                                   std::uint32_t& taken) const noexcept {
    if (weight != 1 || !take_as_seen(context)) [[unlikely]] {
      const Taken outcome = take_any(context, *step_, weight);
      if (outcome != Taken::all) return outcome == Taken::none_but_passes;
    }
    holding.user = {context.user.low, context.user.high};
    holding.entries[taken] = context.user_table.number_of(first_.entry);
    holding.limits_of_user[taken] = id();
    ++taken;
    return true;
  }

 private:
  struct Room {
    std::uint32_t usable;  ///< see owner_set::usable()
    std::uint32_t held;
  };

  static UserKey key_of(const Context& context, std::uint32_t part) noexcept {
    return context.user_table.key(context.user, part / UserTable::kPartsTogether);
  }

  [[nodiscard]] static Room room(const Context& context, const UserPermitStep& step) noexcept;

  /// One permit, in the entry that was seen.
  [[nodiscard]] bool take_as_seen(const Context& context) const noexcept {
    // A set with one more is never 0.
    const std::uint64_t with_one =
        owner_set::add(first_.state, owner_set::pack(context.owner), room_.usable).value_or(0);
    return with_one != 0 && context.user_table.exchange(context.key, entry_of(id()), first_, with_one);
  }

  enum class Taken : std::uint8_t { all, none, none_but_passes };
  [[nodiscard]] static Taken take_any(const Context& context, const UserPermitStep& step,
                                      std::uint32_t weight) noexcept;
  [[nodiscard]] static UserTable::Outcome take_from_sets(const Context& context, const UserPermitStep& step,
                                                         std::uint32_t usable) noexcept;

  const UserPermitStep* step_;
  UserTable::Found first_;  // of the first part; permits fill it first
  Room room_;
};

/// Gives permits back. @return how many of them had been taken back before.
/// @param still_ours  whether the owner is this process still. Permits of users have no word that tells one
///                    holder from the next, and after the owner was taken for dead its bits may be those of
///                    another.
std::uint32_t give_back(const Sections& sections, UserTable& users, const Holding& holding,
                        bool still_ours = true) noexcept;

/// One limit's permits of the user, wherever among the parts they lie; all of an owner are alike, so any will do.
/// @return as give_back().
[[nodiscard]] std::uint32_t give_back_of_user(UserTable& users, const Holding& holding,
                                              std::uint32_t i) noexcept;

/// The usual entry: it holds one permit, of this owner. @return false: it holds more, or is not there any more.
[[gnu::always_inline]] inline bool give_back_sole(UserTable& users, const Holding& holding, std::uint32_t i,
                                                  owner_set::PackedOwner owner) noexcept {
  PairWord* const entry = users.entry_at(holding.entries[i]);
  const UserKey key{0, UserTable::tag_hash({holding.user[0], holding.user[1]})};
  return users.exchange(key, entry_of(holding.limits_of_user[i]), {entry, owner}, 0);
}

/// give_back() of permits of one cell each, whose owner is this process still.
[[gnu::always_inline]] inline std::uint32_t give_back_ours(const Sections& sections, UserTable& users,
                                                           const Holding& holding) noexcept {
  std::uint32_t late = 0;
  const std::uint64_t word = permit_word_of(holding);
  for (std::uint32_t i = 0, count = holding.permits; i < count; ++i) {
    if (!Permits::give_back(sections.permit_cells[holding.cells[i]], word)) [[unlikely]]
      ++late;
  }
  const owner_set::PackedOwner owner = owner_set::pack(owner_of(holding));
  for (std::uint32_t i = 0, count = holding.user_permits; i < count; ++i) {
    if (!give_back_sole(users, holding, i, owner)) [[unlikely]]
      late += give_back_of_user(users, holding, i);
  }
  return late;
}

}  // namespace weir::detail

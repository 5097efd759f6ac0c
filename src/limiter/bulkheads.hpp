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
      : step_(&step), free_(step.permits.find_free(step.limit, context.hint(step))) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& context, std::uint32_t weight) const noexcept {
    return free_ && (weight == 1 || step_->permits.available(limit(), weight, context.hint(*step_)));
  }

  /// @return whether permits were taken; `holding` has them then, and `taken` is one more.
  [[gnu::always_inline]] bool take(const Context& context, std::uint32_t weight, Holding& holding,
                                   std::uint32_t& taken) noexcept {
    std::optional<std::uint32_t> cell = free_;
    if (weight != 1 || !take_as_seen(context)) [[unlikely]] {
      cell = take_any(context, *step_, weight);
      if (!cell) return false;
    }
    holding.cells[taken] = step_->first_cell + *cell;
    holding.limits[taken] = id();
    ++taken;
    return true;
  }

 private:
  /// Takes one permit, in the cell that was seen to be free.
  [[nodiscard]] bool take_as_seen(const Context& context) const noexcept {
    return free_ && Permits(step_->permits).take_at(context.owner, *free_, context.now);
  }
  /// @return the cell by which the permits are given back; nothing: there are not enough.
  [[nodiscard]] static std::optional<std::uint32_t> take_any(const Context& context, const PermitStep& step,
                                                             std::uint32_t weight) noexcept;

  const PermitStep* step_;
  std::optional<std::uint32_t> free_;
};

/// A user's permits lie in one entry, or in sets of four permits each.
class UserBulkhead {
 public:
  [[gnu::always_inline]] UserBulkhead(const Context& context, const UserPermitStep& step) noexcept
      : step_(&step), first_(context.user_table.find(context.key, entry_of(step.id))) {
    const Room room =
        step.parts == 1 ? Room{step.limit, owner_set::count(first_.state)} : room_in(context, step);
    held_ = room.held;
    with_one_ = owner_set::add(first_.state, owner_set::pack(context.owner), room.usable).value_or(0);
  }

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& /*context*/, std::uint32_t weight) const noexcept {
    return (weight == 1 && with_one_ != 0) || held_ + weight <= limit();
  }

  /// @return whether the request may go on. If permits were taken, `holding` has them, and `taken` is one more; if a
  ///         full table lets new users pass, the request goes on without permits.
  [[gnu::always_inline]] bool take(const Context& context, std::uint32_t weight, Holding& holding,
                                   std::uint32_t& taken) const noexcept {
    if (weight != 1 || !take_as_seen()) [[unlikely]] {
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

  [[nodiscard]] static Room room_in(const Context& context, const UserPermitStep& step) noexcept;

  /// Takes one permit, in the entry that was seen.
  [[nodiscard]] bool take_as_seen() const noexcept {
    return with_one_ != 0 && UserTable::exchange(first_, with_one_);
  }

  enum class Taken : std::uint8_t { all, none, none_but_passes };
  [[nodiscard]] static Taken take_any(const Context& context, const UserPermitStep& step,
                                      std::uint32_t weight) noexcept;
  [[nodiscard]] static UserTable::Outcome take_from_sets(const Context& context, const UserPermitStep& step,
                                                         std::uint32_t usable) noexcept;

  const UserPermitStep* step_;
  UserTable::Found first_;  // of the first part; permits fill it first
  std::uint64_t with_one_;  // what the first part becomes; 0, which no set with one more is: it has no room
  std::uint32_t held_;      // in all parts
};

/// Gives permits back. @return how many of them had been taken back before.
/// @param still_ours  whether the owner is still this process. Permits of users have no word that tells one holder
///                    from the next, and after the owner was taken for dead, its bits may be those of another worker.
std::uint32_t give_back(const Sections& sections, UserTable& users, const Holding& holding,
                        bool still_ours = true) noexcept;

/// Gives the user's permits of one limit back, in whichever parts they lie. All permits of an owner are alike, so any
/// of them will do.
/// @return as give_back().
[[nodiscard]] std::uint32_t give_back_of_user(UserTable& users, const Holding& holding,
                                              std::uint32_t i) noexcept;

/// Gives the first permit of the user back, if its entry holds this one permit alone, as it usually does.
/// @return false: the entry holds more, or is not there any more.
[[gnu::always_inline]] inline bool give_back_sole(UserTable& users, const Holding& holding) noexcept {
  const Hash128 user{holding.user[0], holding.user[1]};
  const owner_set::PackedOwner owner = owner_set::pack(owner_of(holding));
  return UserTable::exchange(
      users.as_it_was(holding.entries[0], user, entry_of(holding.limits_of_user[0]), owner), 0);
}

/// The permits of an admission that were given back: the first ones of each kind.
struct GivenBack {
  std::uint32_t permits;
  std::uint32_t user_permits;
  std::uint32_t late;  ///< of the former: how many had been taken back before
};

/// Does what give_back() does for the first permit of each kind, if each takes one cell and the owner is still this
/// process. Few admissions hold more. If this one does, or if a permit is not where it was taken, it calls
/// rest(GivenBack), which leaves the others to give_back_rest().
/// @return whether that was all.
template <class Rest>
[[gnu::always_inline]] inline bool give_back_first(const Sections& sections, UserTable& users,
                                                   const Holding& holding, Rest&& rest) noexcept {
  if (holding.permits != 0 &&
      !Permits::give_back(sections.permit_cells[holding.cells[0]], permit_word_of(holding))) [[unlikely]]
    return rest(GivenBack{1, 0, 1}), false;
  if (holding.user_permits != 0 && !give_back_sole(users, holding)) [[unlikely]]
    return rest(GivenBack{1, 0, 0}), false;
  if ((holding.permits | holding.user_permits) > 1) [[unlikely]]
    return rest(GivenBack{1, 1, 0}), false;
  return true;
}
/// Goes on where give_back_first() has ended. @return as give_back().
[[nodiscard]] std::uint32_t give_back_rest(const Sections& sections, UserTable& users, const Holding& holding,
                                           GivenBack done) noexcept;

}  // namespace weir::detail

#pragma once

// Permits as a request meets them: of all requests together, and of each user.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "weir/admission.hpp"

#include "limiter/context.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

class SharedBulkhead {
 public:
  [[gnu::always_inline]] SharedBulkhead(const Context& context, const PermitStep& step) noexcept
      : step_(&step), free_(permits().find_free(step.limit, context.hint)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& context) const noexcept {
    return context.owner && free_ &&
           (context.weight == 1 || permits().available(limit(), context.weight, context.hint));
  }

  /// @return whether permits were taken; `holding` has them then.
  bool take(const Context& context, Holding& holding) noexcept {
    Permits permits = this->permits();
    Permit permit;
    if (free_ && context.weight == 1) [[likely]]
      permit = permits.take_at(context.owner, *free_, context.now);
    if (!permit) [[unlikely]]
      permit = permits.take(context.owner, limit(), context.weight, context.hint, context.now);
    if (permit) holding.shared[holding.permits++] = {permit.word, &permits.cell(permit), id()};
    return static_cast<bool>(permit);
  }

 private:
  [[nodiscard]] const Permits& permits() const noexcept { return step_->permits; }

  const PermitStep* step_;
  std::optional<std::uint32_t> free_;
};

/// A user's permits lie in one entry, or in sets of four permits each.
class UserBulkhead {
 public:
  [[gnu::always_inline]] UserBulkhead(const Context& context, const UserPermitStep& step) noexcept
      : step_(&step),
        first_(context.user_table.find(context.key, entry_of(step.id))),
        room_(step.parts == 1 ? Room{step.limit, owner_set::count(first_.state)} : room(context)),
        with_one_(owner_set::add(first_.state, owner_set::pack(context.owner), room_.usable)) {}

  [[nodiscard]] LimitId id() const noexcept { return step_->id; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return step_->limit; }

  [[nodiscard]] bool available(const Context& context) const noexcept {
    return context.owner && room_.held + context.weight <= limit();
  }

  /// @return whether the request may go on: also without permits, where a full table lets new users pass.
  bool take(const Context& context, Holding& holding) const noexcept {
    if (!take_as_seen(context)) [[unlikely]] {
      const Taken taken = take_anew(context);
      if (taken != Taken::all) return taken == Taken::none_but_passes;
    }
    holding.user = {context.user.low, context.user.high};
    holding.of_user[holding.user_permits++] = {first_.entry, id(), static_cast<std::uint8_t>(step_->parts)};
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

  [[nodiscard]] Room room(const Context& context) const noexcept;

  /// One permit, in the entry that was seen.
  [[nodiscard]] bool take_as_seen(const Context& context) const noexcept {
    return with_one_ && context.weight == 1 &&
           context.user_table.exchange(context.key, entry_of(id()), first_, *with_one_);
  }

  enum class Taken : std::uint8_t { all, none, none_but_passes };
  [[nodiscard]] Taken take_anew(const Context& context) const noexcept;
  [[nodiscard]] UserTable::Outcome take_from_sets(const Context& context,
                                                  std::uint32_t usable) const noexcept;

  const UserPermitStep* step_;
  UserTable::Found first_;  // of the first part; permits fill it first
  Room room_;
  std::optional<std::uint64_t> with_one_;  // the first part with one more permit
};

/// The rarer ways of give_back(), each with its @return. A permit of several cells:
[[nodiscard]] std::uint32_t give_back_chain(const Sections& sections, const HeldPermit& held,
                                            std::uint32_t weight) noexcept;
/// Places of an owner, wherever among the parts they lie; all of them are alike, so any will do:
[[nodiscard]] std::uint32_t give_back_from_sets(UserTable& users, const HeldUserPermits& held, Hash128 user,
                                                owner_set::PackedOwner owner, std::uint32_t weight) noexcept;

/// Gives permits back. @return how many of them had been taken back before.
/// @param still_ours  whether the owner is this process still. Permits of users have no word that tells one
///                    holder from the next, and after the owner was taken for dead its bits may be those of
///                    another.
inline std::uint32_t give_back(const Sections& sections, UserTable& users, const Holding& holding,
                               bool still_ours = true) noexcept {
  std::uint32_t late = 0;
  for (std::uint32_t i = 0; i < holding.permits; ++i) {
    const HeldPermit& held = holding.shared[i];
    late += holding.weight == 1 ? (Permits::give_back(*static_cast<Word*>(held.cell), held.word) ? 0 : 1)
                                : give_back_chain(sections, held, holding.weight);
  }
  const Hash128 user{holding.user[0], holding.user[1]};
  const owner_set::PackedOwner owner = owner_set::pack(Owner::from_bits(holding.owner));
  const auto without_one = [=](std::uint64_t set) { return owner_set::remove(set, owner); };
  for (std::uint32_t i = 0; i < holding.user_permits; ++i) {
    const HeldUserPermits& held = holding.of_user[i];
    if (!still_ours) [[unlikely]] {
      late += holding.weight;  // swept, before the slot was given away
      continue;
    }
    if (holding.weight == 1 && users.modify(users.key(user), entry_of(held.limit),
                                            static_cast<PairWord*>(held.entry), without_one)) [[likely]]
      continue;
    late += give_back_from_sets(users, held, user, owner, holding.weight);
  }
  return late;
}

}  // namespace weir::detail

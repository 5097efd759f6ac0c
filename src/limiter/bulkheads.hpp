#pragma once

// Permits as a request meets them: of all requests together, and of each user.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "weir/admission.hpp"

#include "limiter/ask.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

class SharedBulkhead {
 public:
  [[gnu::always_inline]] SharedBulkhead(const Context& context, std::uint32_t place) noexcept
      : place_(place), limit_(limit_of(context.ask.limits.line(place))) {
    permits_ = Permits(permit_cells(context.ask.limits.line(place), limit_, context.sections.permit_cells));
    free_ = permits_.find_free(limit_, context.ask.home);
  }

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

  [[nodiscard]] bool available(const Ask& ask) const noexcept {
    return ask.owner && free_ && (ask.weight == 1 || permits_.available(limit_, ask.weight, ask.home));
  }

  /// @return whether permits were taken; `holding` has them then.
  bool take(const Context& context, Holding& holding) noexcept {
    const Ask& ask = context.ask;
    Permit permit;
    if (free_ && ask.weight == 1) [[likely]]
      permit = permits_.take_at(ask.owner, *free_, context.now);
    if (!permit) [[unlikely]]
      permit = permits_.take(ask.owner, limit_, ask.weight, ask.home, context.now);
    if (permit)
      holding.shared[holding.permits++] = {permit.word, &permits_.cell(permit), ask.limits.id(place_)};
    return static_cast<bool>(permit);
  }

 private:
  static std::uint32_t limit_of(const LimitLine& line) noexcept {
    return static_cast<std::uint32_t>(line.params.load(std::memory_order_acquire));  // sync(reach)
  }

  Permits permits_;
  std::uint32_t place_;
  std::uint32_t limit_;
  std::optional<std::uint32_t> free_;
};

/// A user's permits lie in one entry, or in parts of four places each.
class UserBulkhead {
 public:
  [[gnu::always_inline]] UserBulkhead(const Context& context, std::uint32_t place) noexcept
      : limit_(limit_of(context.ask.limits.line(place))),
        parts_(static_cast<std::uint8_t>(permit_parts(context.ask.limits.line(place), limit_))),
        place_(static_cast<std::uint8_t>(place)),
        id_(context.ask.limits.id(place)),
        first_(context.users.find(context.ask.key, entry_of(id_))),
        room_(parts_ == 1 ? Room{limit_, owner_set::count(first_.state)} : room(context)),
        with_one_(owner_set::add(first_.state, owner_set::place_of(context.ask.owner), room_.usable)) {}

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

  [[nodiscard]] bool available(const Ask& ask) const noexcept {
    return ask.owner && room_.held + ask.weight <= limit_;
  }

  /// @return whether the request may go on: also without permits, where a full table lets new users pass.
  bool take(const Context& context, Holding& holding) const noexcept {
    if (!take_as_seen(context)) [[unlikely]] {
      const Taken taken = take_anew(context);
      if (taken != Taken::all) return taken == Taken::none_but_passes;
    }
    holding.of_user[holding.user_permits++] = {first_.entry, id_, parts_};
    return true;
  }

 private:
  struct Room {
    std::uint32_t usable;  ///< see owner_set::usable()
    std::uint32_t held;
  };

  static std::uint32_t limit_of(const LimitLine& line) noexcept {
    const std::uint64_t limit = line.params.load(std::memory_order_acquire);  // sync(reach)
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, kMaxUserPermits));
  }
  static UserKey key_of(const Context& context, std::uint32_t part) noexcept {
    return context.users.key(context.ask.user, part / UserTable::kPartsTogether);
  }

  [[nodiscard]] Room room(const Context& context) const noexcept;

  /// One permit, in the entry that was seen.
  [[nodiscard]] bool take_as_seen(const Context& context) const noexcept {
    return with_one_ && context.ask.weight == 1 &&
           context.users.exchange(context.ask.key, entry_of(id_), first_, *with_one_);
  }

  enum class Taken : std::uint8_t { all, none, none_but_passes };
  [[nodiscard]] Taken take_anew(const Context& context) const noexcept;
  [[nodiscard]] UserTable::Outcome take_place(const Context& context, std::uint32_t usable) const noexcept;

  std::uint32_t limit_;
  std::uint8_t parts_;
  std::uint8_t place_;
  LimitId id_;
  UserTable::Found first_;  // of the first part; permits fill it first
  Room room_;
  std::optional<std::uint64_t> with_one_;  // the first part with one more permit
};

/// The rarer ways of give_back(), each with its @return. A permit of several cells:
[[nodiscard]] std::uint32_t give_back_chain(const Sections& sections, const HeldPermit& held,
                                            std::uint32_t weight) noexcept;
/// Places of an owner, wherever among the parts they lie; all of them are alike, so any will do:
[[nodiscard]] std::uint32_t give_back_places(UserTable& users, const HeldUserPermits& held, Hash128 user,
                                             owner_set::Place owner, std::uint32_t weight) noexcept;

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
  const owner_set::Place owner = owner_set::place_of(Owner::from_bits(holding.owner));
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
    late += give_back_places(users, held, user, owner, holding.weight);
  }
  return late;
}

}  // namespace weir::detail

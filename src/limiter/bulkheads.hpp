#pragma once

// Permits as a request meets them: of all requests together, and of each user.

#include <algorithm>
#include <cstdint>

#include "weir/admission.hpp"

#include "limiter/ask.hpp"
#include "limiter/user_changes.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {

class SharedBulkhead {
 public:
  SharedBulkhead(const Context& context, std::uint32_t place) noexcept
      : place_(place), limit_(limit_of(context.ask.limits.line(place))) {
    permits_ = Permits(permit_cells(context.ask.limits.line(place), limit_, context.sections.permit_cells));
  }

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

  [[nodiscard]] bool available(const Ask& ask) const noexcept {
    return ask.owner && permits_.available(limit_, ask.weight, ask.home);
  }

  /// @return whether permits were taken; `holding` has them then.
  bool take(const Context& context, Holding& holding) noexcept {
    const Ask& ask = context.ask;
    const Permit permit = permits_.take(ask.owner, limit_, ask.weight, ask.home, context.now);
    if (permit) holding.shared[holding.permits++] = {permit.word, permit.cell, ask.limits.id(place_)};
    return static_cast<bool>(permit);
  }

 private:
  static std::uint32_t limit_of(const LimitLine& line) noexcept {
    return static_cast<std::uint32_t>(line.params.load(std::memory_order_acquire));  // sync(reach)
  }

  Permits permits_;
  std::uint32_t place_;
  std::uint32_t limit_;
};

/// Gives places of an owner back, wherever among the parts they lie: all places of one owner are alike, so
/// any will do. @return how many there were not.
std::uint32_t give_back(UserTable& users, const HeldUserPermits& held, Hash128 user, Owner owner,
                        std::uint32_t weight) noexcept;

/// A user's permits lie in one entry, or in parts of four places each. Each part keeps its own capacity, so
/// together they keep the limit.
class UserBulkhead {
 public:
  UserBulkhead(const Context& context, std::uint32_t place) noexcept
      : limit_(limit_of(context.ask.limits.line(place))),
        place_(static_cast<std::uint8_t>(place)),
        id_(context.ask.limits.id(place)),
        first_(context.users.find(context.ask.key, entry_of(id_))) {}

  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_; }

  [[nodiscard]] bool available(const Context& context) const noexcept {
    return context.ask.owner && held(context) + context.ask.weight <= limit_;
  }

  /// @return whether the request may go on: also without permits, where a full table lets new users pass.
  bool take(const Context& context, Holding& holding) noexcept {
    for (std::uint32_t taken = 0; taken < context.ask.weight; ++taken) {
      const UserTable::Outcome outcome = take_place(context);
      if (outcome == UserTable::Outcome::changed) continue;
      return give_up(context, taken, outcome == UserTable::Outcome::full);
    }
    holding.of_user[holding.user_permits++] = {first_.entry, id_, static_cast<std::uint8_t>(parts())};
    return true;
  }

 private:
  static std::uint32_t limit_of(const LimitLine& line) noexcept {
    const std::uint64_t limit = line.params.load(std::memory_order_relaxed);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, kMaxUserPermits));
  }
  [[nodiscard]] std::uint32_t parts() const noexcept { return owner_set::parts_for(limit_); }
  [[nodiscard]] std::uint32_t places_in(std::uint32_t part) const noexcept {
    return std::min(owner_set::kPlaces, limit_ - part * owner_set::kPlaces);
  }

  [[nodiscard]] std::uint32_t held(const Context& context) const noexcept {
    const std::uint32_t held = std::min(owner_set::count(first_.state), places_in(0));
    return parts() == 1 ? held : held + held_elsewhere(context);
  }
  [[nodiscard]] std::uint32_t held_elsewhere(const Context& context) const noexcept;

  UserTable::Outcome take_place(const Context& context) noexcept {
    const UserTable::Outcome outcome = take_place_in(context, 0, first_);
    return outcome == UserTable::Outcome::changed || parts() == 1 ? outcome
                                                                  : take_place_elsewhere(context, outcome);
  }
  UserTable::Outcome take_place_elsewhere(const Context& context, UserTable::Outcome first) noexcept;

  UserTable::Outcome take_place_in(const Context& context, std::uint32_t part,
                                   UserTable::Found& where) const noexcept {
    const TakePlace change{UserChangeBase(context), owner_set::place_of(context.ask.owner), places_in(part)};
    const UserKey key = part < UserTable::kPartsTogether ? context.ask.key : key_of(context, part);
    return context.users.update(key, entry_of(id_, part), where, change);
  }
  static UserKey key_of(const Context& context, std::uint32_t part) noexcept {
    return context.users.key(context.ask.user, part / UserTable::kPartsTogether);
  }

  /// @return whether the request may go on without.
  bool give_up(const Context& context, std::uint32_t taken, bool table_full) const noexcept;

  std::uint32_t limit_;
  std::uint8_t place_;
  LimitId id_;
  UserTable::Found first_;  // of the first part; permits fill it first
};

}  // namespace weir::detail

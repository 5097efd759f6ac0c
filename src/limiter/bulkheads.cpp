#include "limiter/bulkheads.hpp"

namespace weir::detail {

std::uint32_t give_back(UserTable& users, const HeldUserPermits& held, Hash128 user, Owner owner,
                        std::uint32_t weight) noexcept {
  const owner_set::Place place = owner_set::place_of(owner);
  const auto without_one = [&](std::uint64_t set) { return owner_set::remove(set, place); };
  auto* where = static_cast<PairWord*>(held.entry);
  std::uint32_t missing = weight;
  for (std::uint32_t part = 0; part < held.parts && missing > 0; ++part) {
    const UserKey key = users.key(user, part / UserTable::kPartsTogether);
    while (missing > 0 && users.modify(key, entry_of(held.limit, part), where, without_one)) --missing;
    where = nullptr;  // the hint is for the first part
  }
  return missing;
}

std::uint32_t UserBulkhead::held_elsewhere(const Context& context) const noexcept {
  std::uint32_t held = 0;
  for (std::uint32_t part = 1; part < parts(); ++part) {
    const UserTable::Found found = context.users.find(key_of(context, part), entry_of(id_, part));
    held += std::min(owner_set::count(found.state), places_in(part));
  }
  return held;
}

UserTable::Outcome UserBulkhead::take_place_elsewhere(const Context& context,
                                                      UserTable::Outcome first) noexcept {
  UserTable::Outcome worst = first;
  for (std::uint32_t part = 1; part < parts(); ++part) {
    UserTable::Found where{};
    const UserTable::Outcome outcome = take_place_in(context, part, where);
    if (outcome == UserTable::Outcome::changed) return outcome;
    if (outcome == UserTable::Outcome::full) worst = outcome;
  }
  return worst;
}

bool UserBulkhead::give_up(const Context& context, std::uint32_t taken, bool table_full) const noexcept {
  const HeldUserPermits held{nullptr, id_, static_cast<std::uint8_t>(parts())};
  give_back(context.users, held, context.ask.user, context.ask.owner, taken);
  return table_full && passes_when_full(context);
}

}  // namespace weir::detail

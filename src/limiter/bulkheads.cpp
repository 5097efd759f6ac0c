#include "limiter/bulkheads.hpp"

#include <array>
#include <span>

#include "limiter/user_changes.hpp"

namespace weir::detail {

std::uint32_t give_back_chain(const Sections& sections, const HeldPermit& held,
                              std::uint32_t weight) noexcept {
  const LimitRef ref = LimitRef::of(held.limit);
  const LimitRecord& record = sections.blocks[ref.block].limits[ref.index];
  Permits permits(
      CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(sections.permit_cells));
  return weight - permits.give_back({held.word, permits.index_of(*static_cast<Word*>(held.cell))});
}

std::uint32_t give_back_from_sets(UserTable& users, const HeldUserPermits& held, Hash128 user,
                                  owner_set::PackedOwner owner, std::uint32_t weight) noexcept {
  const auto without_one = [=](std::uint64_t set) { return owner_set::remove(set, owner); };
  std::uint32_t missing = weight;
  for (std::uint32_t part = 0; part < held.parts && missing > 0; ++part) {
    const UserKey key = users.key(user, part / UserTable::kPartsTogether);
    while (missing > 0 && users.modify(key, entry_of(held.limit, part), nullptr, without_one)) --missing;
  }
  return missing;
}

UserBulkhead::Room UserBulkhead::room(const Context& context) const noexcept {
  std::array<std::uint32_t, kMaxUserPermits / owner_set::kPermitsPerSet> counts;
  std::uint32_t held = 0;
  for (std::uint32_t part = 0; part < step_->parts; ++part) {
    const UserTable::Found found = context.user_table.find(key_of(context, part), entry_of(id(), part));
    held += counts[part] = owner_set::count(found.state);
  }
  return {owner_set::usable(std::span(counts).first(step_->parts), limit()), held};
}

UserBulkhead::Taken UserBulkhead::take_anew(const Context& context) const noexcept {
  const std::uint32_t usable = step_->parts == 1 ? limit() : room(context).usable;
  for (std::uint32_t taken = 0; taken < context.weight; ++taken) {
    const UserTable::Outcome outcome = take_from_sets(context, usable);
    if (outcome == UserTable::Outcome::changed) continue;
    const HeldUserPermits held{nullptr, id(), static_cast<std::uint8_t>(step_->parts)};
    (void)give_back_from_sets(context.user_table, held, context.user, owner_set::pack(context.owner), taken);
    return outcome == UserTable::Outcome::full && passes_when_full(context) ? Taken::none_but_passes
                                                                            : Taken::none;
  }
  return Taken::all;
}

UserTable::Outcome UserBulkhead::take_from_sets(const Context& context, std::uint32_t usable) const noexcept {
  UserTable::Outcome worst = UserTable::Outcome::declined;
  for (std::uint32_t part = 0; part < step_->parts; ++part) {
    const std::uint32_t permits = owner_set::permits_in(part, usable);
    const TakePermits change{UserChangeBase(context), owner_set::pack(context.owner), permits};
    const UserTable::Outcome outcome =
        context.user_table.update(key_of(context, part), entry_of(id(), part), change);
    if (outcome == UserTable::Outcome::changed) return outcome;
    if (outcome == UserTable::Outcome::full) worst = outcome;
  }
  return worst;
}

}  // namespace weir::detail

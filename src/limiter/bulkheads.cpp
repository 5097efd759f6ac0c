// SPDX-License-Identifier: Apache-2.0
#include "limiter/bulkheads.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "limiter/user_changes.hpp"

namespace weir::detail {
namespace {

/// @param first  where the first part was seen last, or nullptr.
/// @return how many of the permits had been taken back before.
std::uint32_t give_back_from_sets(UserTable& users, LimitId limit, Hash128 user, PairWord* first,
                                  owner_set::PackedOwner owner, std::uint32_t permits) noexcept {
  const auto without_one = [=](std::uint64_t set) { return owner_set::remove(set, owner); };
  std::uint32_t missing = permits;
  // Among the parts of the highest limit that may be: this one's may have been lowered since.
  for (std::uint32_t part = 0; part < owner_set::parts_for(kMaxUserPermits) && missing > 0; ++part) {
    const UserKey key = users.key(user, part / UserTable::kPartsTogether);
    PairWord* const hint = part == 0 ? first : nullptr;
    while (missing > 0 && users.modify(key, entry_of(limit, part), hint, without_one)) --missing;
  }
  return missing;
}

/// The permits over all callers, of several cells each. @return as give_back().
std::uint32_t give_back_chains(const Sections& sections, const Holding& holding) noexcept {
  std::uint32_t late = 0;
  for (std::uint32_t i = 0; i < holding.permits; ++i) {
    const LimitRef ref = LimitRef::of(holding.limits[i]);
    const LimitRecord& record = sections.blocks[ref.block].limits[ref.index];
    const CellRange range = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
    const std::uint32_t cell = holding.cells[i];
    // A cell that was given back before, or is damaged, holds another word, and give_back() leaves that alone.
    const std::uint64_t seen = sections.permit_cells[cell].load(std::memory_order_relaxed);
    const std::uint64_t word = permit_word_of(holding) | permit_word::next_bits(seen);
    late += holding.weight - Permits(range.in(sections.permit_cells)).give_back({word, cell - range.offset});
  }
  return late;
}

}  // namespace

std::uint32_t give_back(const Sections& sections, UserTable& users, const Holding& holding,
                        bool still_ours) noexcept {
  if (still_ours && holding.weight == 1) return give_back_rest(sections, users, holding, {});
  std::uint32_t late = give_back_chains(sections, holding);
  for (std::uint32_t i = 0; i < holding.user_permits; ++i) {
    // Of an owner that was taken for dead they were swept, before the slot was given away.
    late += still_ours ? give_back_of_user(users, holding, i) : holding.weight;
  }
  return late;
}

std::uint32_t give_back_rest(const Sections& sections, UserTable& users, const Holding& holding,
                             GivenBack done) noexcept {
  std::uint32_t late = done.late;
  for (std::uint32_t i = done.permits; i < holding.permits; ++i) {
    late += Permits::give_back(sections.permit_cells[holding.cells[i]], permit_word_of(holding)) ? 0 : 1;
  }
  for (std::uint32_t i = done.user_permits; i < holding.user_permits; ++i) {
    late += give_back_of_user(users, holding, i);
  }
  return late;
}

std::uint32_t give_back_of_user(UserTable& users, const Holding& holding, std::uint32_t i) noexcept {
  const Hash128 user{holding.user[0], holding.user[1]};
  return give_back_from_sets(users, holding.limits_of_user[i], user, users.entry_at(holding.entries[i]),
                             owner_set::pack(owner_of(holding)), holding.weight);
}

std::optional<std::uint32_t> SharedBulkhead::take_any(const Context& context, const PermitStep& step,
                                                      std::uint32_t weight) noexcept {
  const Permit permit =
      Permits(step.permits).take(context.owner, step.limit, weight, context.hint(step), context.now);
  return permit ? std::optional(permit.cell) : std::nullopt;
}

UserBulkhead::Room UserBulkhead::room_in(const Context& context, const UserPermitStep& step) noexcept {
  std::array<std::uint32_t, kMaxUserPermits / owner_set::kPermitsPerSet> counts;
  std::uint32_t held = 0;
  for (std::uint32_t part = 0; part < step.parts; ++part) {
    const UserTable::Found found = context.user_table.find(key_of(context, part), entry_of(step.id, part));
    held += counts[part] = owner_set::count(found.state);
  }
  return {owner_set::usable(std::span(counts).first(step.parts), step.limit), held};
}

UserBulkhead::Taken UserBulkhead::take_any(const Context& context, const UserPermitStep& step,
                                           std::uint32_t weight) noexcept {
  const std::uint32_t usable = step.parts == 1 ? step.limit : room_in(context, step).usable;
  for (std::uint32_t taken = 0; taken < weight; ++taken) {
    const UserTable::Outcome outcome = take_from_sets(context, step, usable);
    if (outcome == UserTable::Outcome::changed) continue;
    (void)give_back_from_sets(context.user_table, step.id, context.user, nullptr,
                              owner_set::pack(context.owner), taken);
    return outcome == UserTable::Outcome::full && passes_when_full(context) ? Taken::none_but_passes
                                                                            : Taken::none;
  }
  return Taken::all;
}

UserTable::Outcome UserBulkhead::take_from_sets(const Context& context, const UserPermitStep& step,
                                                std::uint32_t usable) noexcept {
  UserTable::Outcome worst = UserTable::Outcome::declined;
  for (std::uint32_t part = 0; part < step.parts; ++part) {
    const std::uint32_t permits = owner_set::permits_in(part, usable);
    const TakePermits change{UserChangeBase(context), owner_set::pack(context.owner), permits};
    const UserTable::Outcome outcome =
        context.user_table.update(key_of(context, part), entry_of(step.id, part), change);
    if (outcome == UserTable::Outcome::changed) return outcome;
    if (outcome == UserTable::Outcome::full) worst = outcome;
  }
  return worst;
}

}  // namespace weir::detail

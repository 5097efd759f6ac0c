// SPDX-License-Identifier: Apache-2.0
#include "control/room.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>
#include <string_view>

#include "base/text.hpp"
#include "control/owed.hpp"
#include "policy/block_names.hpp"
#include "policy/cells.hpp"

namespace weir::detail {
namespace {

// A user table that is too small for the limits per user would forget users, or refuse them.
Result<void> enough_entries(const Sections& sections, const Config& now, const Config& target) {
  const std::uint64_t each = entries_per_user(target);
  const std::uint64_t wanted = target.segment.users * each * 4 / 3 + 1;
  const std::uint64_t has = sections.users.size() * UserBucket::kEntries;
  if (wanted <= has || each <= entries_per_user(now)) return {};
  return fail(Errc::no_space,
              fmt::format("limits of each user: {} entries for each of {} users, and free ones between them, "
                          "make {}; this segment has {}",
                          each, target.segment.users, wanted, has),
              fmt::format("remove the segment and let it be created again with the new limits, or with "
                          "segment.limits_per_user = {}",
                          each));
}

template <class Cell>
Result<void> enough_cells(std::string_view what, std::uint64_t wanted, const Word& used,
                          std::span<Cell> section) {
  const std::uint64_t left =
      section.size() - std::min<std::uint64_t>(used.load(std::memory_order_relaxed), section.size());
  if (wanted <= left) return {};
  return fail(Errc::no_space,
              fmt::format("{}: {} more cells are needed; this segment has {} left of {}", what, wanted, left,
                          section.size()),
              "remove the segment and let it be created again with the new limits");
}

Result<void> enough_room(const RunningSegment& running, const std::vector<PlannedBlock>& planned) {
  const Sections& sections = running.sections;
  Room needed;
  for (const PlannedBlock& change : planned) {
    WEIR_TRY(const Room room, room_for(sections, change.block, change.value, running.now));
    needed.permit_cells += room.permit_cells;
    needed.window_cells += room.window_cells;
    needed.seats += room.seats;
  }
  const Control& control = *sections.control;
  WEIR_TRY_VOID(enough_cells("permits", needed.permit_cells, control.permit_cells, sections.permit_cells));
  WEIR_TRY_VOID(enough_cells("windows", needed.window_cells, control.window_cells, sections.window_cells));
  return enough_cells("queues", needed.seats, control.seats, sections.seats);
}

struct Found {
  std::uint32_t block;
  bool given;  ///< from another name
};

/// Whether a block can have one more name.
bool takes_another_name(const Block& block, Family family) {
  // Users have no handles, so their blocks need not tell names apart.
  return family == Family::overrides || block.tenancy.load(std::memory_order_relaxed) + 1 < kNamesOfABlock;
}

/// Finds the block of a name. A new name gets a new block, or, if there is none left, a retired one.
Result<Found> find_room(const RunningSegment& running, Family family, std::string_view name,
                        std::uint32_t& added, const std::vector<PlannedBlock>& planned) {
  auto block = block_for(running.sections, family, name, running.hasher(name), added);
  if (block) return Found{*block, false};
  const std::uint32_t first = family == Family::operations ? kFirstOperation : kFirstOverride;
  const std::uint32_t most = family == Family::operations ? kMaxOperations : kMaxOverrides;
  const std::vector<bool> held = blocks_held(running);
  Error error = block.error();
  for (std::uint32_t block_index = first; block_index < first + most; ++block_index) {
    const Block& candidate = running.sections.blocks[block_index];
    const bool free = candidate.presence(std::memory_order_acquire).retired() && !held[block_index];
    const auto same = [block_index](const PlannedBlock& other) { return other.block == block_index; };
    if (!free || std::any_of(planned.begin(), planned.end(), same)) continue;
    if (takes_another_name(candidate, family)) return Found{block_index, true};
    error = fail(Errc::no_space,
                 fmt::format("operation {}: the only places that are free have had {} names", quoted(name),
                             kNamesOfABlock),
                 "use the name of an operation that was taken out, or let the segment be created again");
  }
  return error;
}

}  // namespace

Result<std::vector<PlannedBlock>> plan_change(const RunningSegment& running, const Config& now,
                                              const Config& target) {
  WEIR_TRY_VOID(enough_entries(running.sections, now, target));
  std::vector<PlannedBlock> planned;
  if (now.global != target.global) {
    planned.push_back({kGlobalBlock, compile(target.global), {}, Family::operations, {}});
  }
  std::uint32_t added = 0;
  for (const auto& [name, policy] : target.operations) {
    const auto known = now.operations.find(name);
    if (known != now.operations.end() && known->second == policy) continue;
    WEIR_TRY(const Found found, find_room(running, Family::operations, name, added, planned));
    planned.push_back({found.block, compile(policy), policy.breaker, Family::operations, running.hasher(name),
                       false, found.given ? name : ""});
  }
  added = 0;
  for (const auto& [key, user] : target.users) {
    const auto known = now.users.find(key);
    if (known != now.users.end() && known->second == user) continue;
    WEIR_TRY(const Found found, find_room(running, Family::overrides, key, added, planned));
    planned.push_back({found.block,
                       compile(user),
                       {},
                       Family::overrides,
                       running.hasher(key),
                       user.exempt,
                       found.given ? key : ""});
  }
  WEIR_TRY_VOID(enough_room(running, planned));
  return planned;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "control/owed.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "policy/queues.hpp"
#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/permits.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

constexpr LimitMask kUserWindows = masks::kWindows << kScopeLimits;

bool is_held(const RunningSegment& running, std::uint32_t block, std::uint32_t index) {
  LimitRecord& record = running.sections.blocks[block].limits[index];
  if (record.params.load(std::memory_order_relaxed) == 0) return false;
  const std::uint64_t state = record.state.load(std::memory_order_relaxed);
  switch (kind_of(index)) {
    case LimitKind::rate:
      return gcra::debt(packed::to_token_bucket(record.params.load(std::memory_order_relaxed)), state,
                        running.now) != 0;
    case LimitKind::window:
      return SharedWindow(record, running.sections.window_cells, running.sections.created_wall_ns)
                 .full_in(running.now) != 0;
    case LimitKind::permits: {
      const CellRange cells = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
      return Permits(cells.in(running.sections.permit_cells)).in_use() != 0;
    }
    case LimitKind::cooldown:
      return cooldown::debt(state, running.now) != 0;
    case LimitKind::queue: {
      const std::span<const Seat> seats = queue_of(running.sections, block).waiters.seats();
      return std::any_of(seats.begin(), seats.end(),
                         [](const Seat& seat) { return Seated::of(seat.load()).taken(); });
    }
    case LimitKind::breaker:
      break;
  }
  return false;
}

bool has_changed_windows(const Block& block) {
  bool any = false;
  for (const std::uint32_t index : LimitIndices(kUserWindows)) {
    any = any || block.limits[index].before.load(std::memory_order_relaxed) != 0;
  }
  return any;
}

}  // namespace

std::vector<bool> blocks_held(const RunningSegment& running) {
  std::vector<bool> held(kMaxBlocks, false);
  running.sections.for_each_user_entry(running.segment, [&](UserLimit entry, std::uint64_t state) {
    const LimitRef ref = LimitRef::of(LimitId{entry.id});
    if (entry.id == 0 || ref.block >= kMaxBlocks || state == 0) return;
    const bool permits = kind_of(ref.index) == LimitKind::permits;
    if (permits || UserRule::of(running.sections, ref).debt(state, running.now) != 0) held[ref.block] = true;
  });
  for (std::uint32_t block_index = kFirstOperation; block_index < kMaxBlocks; ++block_index) {
    for (const std::uint32_t index : LimitIndices(masks::kShared)) {
      if (is_held(running, block_index, index)) held[block_index] = true;
    }
  }
  return held;
}

void carry_over(const RunningSegment& running, LimitRef ref, std::uint64_t before) {
  LimitRecord& record = running.sections.blocks[ref.block].limits[ref.index];
  const std::uint64_t after = record.params.load(std::memory_order_relaxed);
  if (before == 0 || before == after || kind_of(ref.index) != LimitKind::rate) return;
  const TokenBucketParams params = packed::to_token_bucket(after);
  // Nothing may owe more than an empty bucket of the new size does.
  if (scope_of(ref.index) == LimitScope::shared) return TokenBucket(record.state).clamp(params, running.now);
  running.sections.modify_user_entries(
      running.segment, [&](UserLimit entry, std::uint64_t tat) -> std::optional<std::uint64_t> {
        if (entry.id != static_cast<std::uint16_t>(ref.id())) return std::nullopt;
        const std::uint64_t after_change = gcra::clamped(params, tat, running.now);
        return after_change == tat ? std::nullopt : std::optional(after_change);
      });
}

void settle_users(const RunningSegment& running, std::uint32_t block) {
  if (!has_changed_windows(running.sections.blocks[block])) return;
  running.sections.modify_user_entries(
      running.segment, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
        const LimitRef ref = LimitRef::of(LimitId{entry.id});
        const bool of_a_window = entry.id != 0 && ref.block == block &&
                                 kind_of(ref.index) == LimitKind::window &&
                                 scope_of(ref.index) == LimitScope::user;
        if (!of_a_window) return std::nullopt;
        // Read the clock after the state, so that no time in the state is later.
        const std::uint64_t now = running.ticks_now();
        const std::uint64_t next = UserRule::of(running.sections, ref).settled_for_good(state, now);
        return next == state ? std::nullopt : std::optional(next);
      });
  for (const std::uint32_t index : LimitIndices(kUserWindows)) {
    running.sections.blocks[block].limits[index].period.store(0, std::memory_order_relaxed);
  }
}

void forget_users_of(const RunningSegment& running, std::uint32_t block) {
  running.sections.modify_user_entries(
      running.segment, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
        const bool here = entry.id != 0 && LimitRef::of(LimitId{entry.id}).block == block && state != 0;
        return here ? std::optional<std::uint64_t>(0) : std::nullopt;
      });
}

}  // namespace weir::detail

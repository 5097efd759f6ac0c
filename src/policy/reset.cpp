// SPDX-License-Identifier: Apache-2.0
#include "policy/reset.hpp"

#include <optional>

#include "policy/events.hpp"
#include "policy/queues.hpp"
#include "policy/shared_window.hpp"
#include "primitives/breaker.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

void reset_breaker(const Sections& sections, std::uint32_t block) noexcept {
  BreakerRecord& record = sections.breaker(block);
  const bool counts_only = record.breaker.status(record.params.load(), 0).kind == BreakerKind::metrics_only;
  const BreakerTransition done =
      record.breaker.set(counts_only ? BreakerKind::metrics_only : BreakerKind::closed);
  if (done.from != done.to) write_transition(sections, block, done, 0, ask_process_mark());
}

void reset_limit(const Sections& sections, std::uint32_t block, std::uint32_t index) noexcept {
  LimitRecord& limit = sections.blocks[block].limits[index];
  switch (kind_of(index)) {
    case LimitKind::rate:
    case LimitKind::cooldown:
      return TokenBucket(limit.state).reset();
    case LimitKind::window:
      return SharedWindow(limit, sections.window_cells, sections.created_wall_ns).reset();
    case LimitKind::breaker:
      return reset_breaker(sections, block);
    case LimitKind::permits:
    case LimitKind::queue:
      break;
  }
}

std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
  return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
}

template <class IsWanted>
ResetReport reset_blocks(const Segment& segment, const Sections& sections, bool dry_run,
                         IsWanted&& is_wanted) noexcept {
  ResetReport report;
  for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
    if (!is_wanted(block)) continue;
    const Presence presence = sections.blocks[block].presence(std::memory_order_acquire);
    for (const std::uint32_t index : LimitIndices(presence.any() & masks::kShared)) {
      if (kind_of(index) == LimitKind::permits || kind_of(index) == LimitKind::queue) continue;
      if (!dry_run) reset_limit(sections, block, index);
      ++report.limits;
    }
  }
  const auto next = [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
    const LimitRef ref = LimitRef::of(LimitId{entry.id});
    return kind_of(ref.index) != LimitKind::permits && is_wanted(ref.block) ? to_never_seen(state)
                                                                            : std::nullopt;
  };
  if (dry_run) {
    sections.for_each_user_entry(
        segment, [&](UserLimit entry, std::uint64_t state) { report.users += next(entry, state) ? 1 : 0; });
  } else {
    report.users = sections.modify_user_entries(segment, next);
    ring_all_waiters(sections);
  }
  return report;
}

}  // namespace

ResetReport reset_all(const Segment& segment, const Sections& sections, bool dry_run) noexcept {
  return reset_blocks(segment, sections, dry_run, [](std::uint32_t /*block*/) { return true; });
}

ResetReport reset_block(const Segment& segment, const Sections& sections, std::uint32_t block,
                        bool dry_run) noexcept {
  return reset_blocks(segment, sections, dry_run, [=](std::uint32_t one) { return one == block; });
}

ResetReport reset_user(const Sections& sections, UserTable& users, const UserKey& key,
                       bool dry_run) noexcept {
  ResetReport report;
  for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
    const Presence presence = sections.blocks[block].presence(std::memory_order_acquire);
    for (const std::uint32_t index : LimitIndices(presence.any() & masks::kUser)) {
      if (kind_of(index) == LimitKind::permits) continue;
      const UserLimit entry{static_cast<std::uint16_t>(LimitRef{block, index}.id()), 0};
      const bool is_known = dry_run ? users.find(key, entry).state != 0
                                    : static_cast<bool>(users.modify(key, entry, nullptr, to_never_seen));
      report.users += is_known ? 1 : 0;
    }
  }
  if (!dry_run) ring_all_waiters(sections);
  return report;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "limiter/reset.hpp"

#include <optional>

#include "policy/shared_window.hpp"
#include "primitives/breaker.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

void reset_breaker(BreakerRecord& record) noexcept {
  const bool counts_only = record.breaker.status(record.params.load(), 0).kind == BreakerKind::metrics_only;
  record.breaker.set(counts_only ? BreakerKind::metrics_only : BreakerKind::closed);
}

/// @return whether the limit was reset: permits are not.
bool reset_limit(const Sections& sections, std::uint32_t block, std::uint32_t index) noexcept {
  LimitRecord& limit = sections.blocks[block].limits[index];
  switch (kind_of(index)) {
    case LimitKind::rate:
    case LimitKind::cooldown:
      TokenBucket(limit.state).reset();
      return true;
    case LimitKind::window:
      SharedWindow(limit, sections.window_cells, sections.created_wall_ns).reset();
      return true;
    case LimitKind::breaker:
      reset_breaker(sections.breaker(block));
      return true;
    case LimitKind::permits:
      break;
  }
  return false;
}

std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
  return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
}

template <class IsWanted>
ResetReport reset_blocks(const Segment& segment, const Sections& sections, IsWanted&& is_wanted) noexcept {
  ResetReport report;
  for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
    if (!is_wanted(block)) continue;
    const Presence presence = sections.blocks[block].presence(std::memory_order_acquire);
    for (const std::uint32_t index : LimitIndices(presence.any() & masks::kShared)) {
      if (reset_limit(sections, block, index)) ++report.limits;
    }
  }
  report.users = sections.modify_user_entries(
      segment, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
        const LimitRef ref = LimitRef::of(LimitId{entry.id});
        return kind_of(ref.index) != LimitKind::permits && is_wanted(ref.block) ? to_never_seen(state)
                                                                                : std::nullopt;
      });
  return report;
}

}  // namespace

ResetReport reset_all(const Segment& segment, const Sections& sections) noexcept {
  return reset_blocks(segment, sections, [](std::uint32_t /*block*/) { return true; });
}

ResetReport reset_block(const Segment& segment, const Sections& sections, std::uint32_t block) noexcept {
  return reset_blocks(segment, sections, [=](std::uint32_t one) { return one == block; });
}

ResetReport reset_user(const Sections& sections, UserTable& users, const UserKey& key) noexcept {
  ResetReport report;
  for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
    const Presence presence = sections.blocks[block].presence(std::memory_order_acquire);
    for (const std::uint32_t index : LimitIndices(presence.any() & masks::kUser)) {
      if (kind_of(index) == LimitKind::permits) continue;
      const UserLimit entry{static_cast<std::uint16_t>(LimitRef{block, index}.id()), 0};
      report.users += users.modify(key, entry, nullptr, to_never_seen) ? 1 : 0;
    }
  }
  return report;
}

}  // namespace weir::detail

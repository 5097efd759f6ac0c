// SPDX-License-Identifier: Apache-2.0
#include "control/limits_begin.hpp"

#include "policy/block_names.hpp"
#include "policy/turn.hpp"

namespace weir::detail {
namespace {

/// Stores the time from which on every charge is made under the limits as they are now.
void begin(const RunningSegment& running, Word& since) {
  move_turn(
      running.sections.control->turn);  // a request that compiled what was there before is decided again
  since.store(running.ticks_now(), std::memory_order_release);
}

}  // namespace

void retire_own_limits(const RunningSegment& running, std::span<const std::uint32_t> blocks) {
  if (blocks.empty()) return;
  Word& since = running.sections.blocks[kGlobalBlock].overrides_since;
  since.store(Block::kNotYet, std::memory_order_release);
  for (const std::uint32_t block : blocks) retire_block(running.sections, block);
  begin(running, since);
}

void finish_beginning(const RunningSegment& running, Block& block) {
  for (Word* const since : {&block.limits_since, &block.overrides_since}) {
    if (since->load(std::memory_order_relaxed) == Block::kNotYet) begin(running, *since);
  }
}

}  // namespace weir::detail

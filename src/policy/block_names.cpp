// SPDX-License-Identifier: Apache-2.0
#include "policy/block_names.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "policy/window_books.hpp"

namespace weir::detail {
namespace {

struct FamilyBlocks {
  Word& count;
  BlockIndex index;
  std::uint32_t first;
  std::uint32_t most;
};

FamilyBlocks blocks_of(const Sections& sections, Family family) {
  if (family == Family::operations) {
    return {sections.control->operations, sections.operation_index, kFirstOperation, kMaxOperations};
  }
  return {sections.control->overrides, sections.override_index, kFirstOverride, kMaxOverrides};
}

/// Counts a block, and all before it, as in use.
void count_block(const FamilyBlocks& blocks, std::uint64_t block) noexcept {
  const std::uint64_t count = blocks.count.load(std::memory_order_relaxed);
  // sync(blocks): release; pairs with Sections::operations() and overrides().
  blocks.count.store(std::max(count, block - blocks.first + 1), std::memory_order_release);
}

}  // namespace

Result<std::uint32_t> block_for(const Sections& sections, Family family, std::string_view name, Hash128 hash,
                                std::uint32_t& taken) {
  const FamilyBlocks blocks = blocks_of(sections, family);
  if (const std::uint32_t known = find_block(blocks.index, hash); known != 0) return known;
  const std::uint64_t count = blocks.count.load(std::memory_order_relaxed) + taken;
  if (count >= blocks.most) {
    return fail(Errc::no_space,
                fmt::format("all {} {} of this segment are taken", blocks.most,
                            family == Family::operations ? "operations" : "users with own limits"),
                "leave out those that are not used, and let the segment be created again");
  }
  const std::uint32_t block = blocks.first + static_cast<std::uint32_t>(count);
  write_name(sections.blocks[block].name, name);
  ++taken;
  return block;
}

void retire_block(const Sections& sections, std::uint32_t block) noexcept {
  sections.blocks[block].present.store(Presence::of_retired().word(), std::memory_order_release);
}

void give_block(const Sections& sections, Family family, std::uint32_t block,
                std::string_view name) noexcept {
  for (IndexSlot& slot : blocks_of(sections, family).index) {
    if (slot.block.load(std::memory_order_relaxed) == block)
      slot.block.store(kGap, std::memory_order_release);
  }
  // crash here: the old name is gone for good, and the block does not have the new one yet.
  Block& given = sections.blocks[block];
  given.tenancy.fetch_add(1, std::memory_order_release);
  given.exempt.store(0, std::memory_order_relaxed);
  for (LimitRecord& record : given.limits) {
    for (Word* word : {&record.params, &record.state, &record.before, &record.period, &record.would_refuse,
                       &record.changed, &record.listing}) {
      word->store(0, std::memory_order_relaxed);
    }
    const std::uint32_t index = static_cast<std::uint32_t>(&record - given.limits.data());
    if (is_shared_window(index)) clear_books(sections, record);
  }
  write_name(given.name, name);
}

void publish_block(const Sections& sections, Family family, Hash128 hash, std::uint32_t block) noexcept {
  const FamilyBlocks blocks = blocks_of(sections, family);
  const bool indexed = find_block(blocks.index, hash) != 0;
  for (std::uint32_t i = 0; i < kIndexSlots && !indexed; ++i) {
    IndexSlot& slot = blocks.index[(hash.low + i) % kIndexSlots];
    const std::uint64_t taken = slot.block.load(std::memory_order_relaxed);
    if (taken != 0 && taken != kGap) continue;
    slot.hash_low.store(hash.low, std::memory_order_relaxed);
    slot.hash_high.store(hash.high, std::memory_order_relaxed);
    // sync(index): release; pairs with find_block(). crash before: no worker sees the block, and the next change
    // takes it again.
    slot.block.store(block, std::memory_order_release);
    break;
  }
  // crash here: the block is found by its name but is not counted yet; finish_publishing() counts it before the next
  // change gives it to another name.
  count_block(blocks, block);
}

void finish_publishing(const Sections& sections) noexcept {
  for (const Family family : {Family::operations, Family::overrides}) {
    const FamilyBlocks blocks = blocks_of(sections, family);
    for (const IndexSlot& slot : blocks.index) {
      const std::uint64_t block = slot.block.load(std::memory_order_relaxed);
      // Out of these bounds are a free slot, a gap and damage.
      if (block >= blocks.first && block < blocks.first + blocks.most) count_block(blocks, block);
    }
  }
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#include "limiter/operation_handles.hpp"

#include <algorithm>
#include <string>

namespace weir::detail {

std::uint32_t OperationHandles::tenancy_of(std::uint32_t block) const noexcept {
  return static_cast<std::uint32_t>(sections_.blocks[block].tenancy.load(std::memory_order_acquire) & 0xff);
}

std::optional<Operation> OperationHandles::find(std::string_view operation) const noexcept {
  const std::uint32_t block = find_block(sections_.operation_index, hasher_(operation));
  if (block == 0 || sections_.blocks[block].presence(std::memory_order_relaxed).retired())
    return std::nullopt;
  std::uint32_t handle = tenancy_of(block) * kMaxOperations + block - kFirstOperation;
  if (!meanings_.empty()) {
    const auto found = std::find(meanings_.begin(), meanings_.end(), meaning_now(block));
    if (found == meanings_.end()) return std::nullopt;
    handle = static_cast<std::uint32_t>(found - meanings_.begin());
  }
  return Operation{static_cast<std::uint16_t>(handle)};
}

std::uint32_t OperationHandles::block_of(Operation operation) const noexcept {
  const auto handle = static_cast<std::uint32_t>(operation);
  if (!meanings_.empty()) {
    const Meaning& meaning = meanings_[handle];
    const bool is_here = meaning.block != 0 && meaning.block != kGone;
    return is_here && meaning.tenancy == tenancy_of(meaning.block) ? meaning.block : 0;
  }
  const std::uint32_t number = handle % kMaxOperations;
  const std::uint32_t block = kFirstOperation + number;
  return number < sections_.operations() && tenancy_of(block) == handle / kMaxOperations ? block : 0;
}

void OperationHandles::take_over(const OperationHandles& before) {
  std::vector<Meaning> meanings(kHandles);
  std::vector<bool> taken(kMaxBlocks, false);
  for (std::uint32_t handle = 0; handle < meanings.size(); ++handle) {
    const std::uint32_t old = before.block_of(Operation{static_cast<std::uint16_t>(handle)});
    if (old == 0) continue;
    const std::string name = read_name(before.sections_.blocks[old].name);
    const std::uint32_t block = find_block(sections_.operation_index, hasher_(name));
    meanings[handle] = block != 0 ? meaning_now(block) : Meaning{0, kGone};
    taken[block] = true;
  }
  auto unused = meanings.begin();
  for (std::uint32_t i = 0; i < sections_.operations(); ++i) {
    const std::uint32_t block = kFirstOperation + i;
    if (taken[block]) continue;
    unused = std::find(unused, meanings.end(), Meaning{});
    if (unused == meanings.end()) break;
    *unused = meaning_now(block);
  }
  meanings_ = std::move(meanings);
}

}  // namespace weir::detail

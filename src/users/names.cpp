// SPDX-License-Identifier: Apache-2.0
#include "users/names.hpp"

#include <algorithm>
#include <cstring>

#include "users/table.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kLengthMask = 0xff;

}  // namespace

std::uint64_t NameTable::Content::expected_check(std::uint64_t length) const noexcept {
  std::array<std::uint64_t, 2 + std::tuple_size_v<decltype(text)>> all{tag_hash, length};
  std::copy(text.begin(), text.end(), all.begin() + 2);
  return (checksum(std::as_bytes(std::span(all))) & ~kLengthMask) | length;
}

bool NameTable::Content::believed() const noexcept {
  return check == expected_check(check & kLengthMask);
}

std::string_view NameTable::Content::name() const noexcept {
  return {reinterpret_cast<const char*>(text.data()),
          std::min<std::uint64_t>(check & kLengthMask, NameSlot::kBytes)};
}

bool NameTable::Content::cut() const noexcept {
  return (check & kLengthMask) > NameSlot::kBytes;
}

NameTable::Content NameTable::load(const NameSlot& slot) noexcept {
  Content content;
  content.tag_hash = slot.tag_hash.load(std::memory_order_relaxed);
  content.check = slot.check.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < content.text.size(); ++i)
    content.text[i] = slot.text[i].load(std::memory_order_relaxed);
  return content;
}

std::size_t NameTable::slot_of(std::size_t slots, std::uint64_t tag_hash, std::size_t probe) noexcept {
  const std::uint64_t first = tag_hash << (64 - UserTable::kHashBits);
  if (slots <= kProbes) return (scaled(first, slots) + probe) % slots;
  // Every probe is mixed on its own: multiples of one step could lead to the same few slots again.
  std::uint64_t mixed = first + probe * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  return scaled(probe == 0 ? first : mixed, slots);
}

NameSlot& NameTable::slot_to_write(std::uint64_t tag_hash) const noexcept {
  for (std::size_t probe = 0; probe < probes(slots_.size()); ++probe) {
    NameSlot& slot = slots_[slot_of(slots_.size(), tag_hash, probe)];
    std::uint64_t tenant = slot.tag_hash.load(std::memory_order_relaxed);
    if (tenant == 0 && slot.tag_hash.compare_exchange(tenant, tag_hash, std::memory_order_relaxed))
      return slot;
    if (tenant == tag_hash) return slot;  // also if another process has just taken it for the same user
  }
  return slots_[slot_of(slots_.size(), tag_hash, 0)];
}

void NameTable::remember(std::uint64_t tag_hash, std::string_view name) noexcept {
  if (slots_.empty()) return;
  Content content{.tag_hash = tag_hash, .check = 0, .text = {}};
  if (!name.empty()) std::memcpy(content.text.data(), name.data(), std::min(name.size(), NameSlot::kBytes));
  content.check = content.expected_check(std::min<std::uint64_t>(name.size(), kLengthMask));

  NameSlot& slot = slot_to_write(tag_hash);
  slot.tag_hash.store(content.tag_hash, std::memory_order_relaxed);
  // crash between any two stores: the checksum fits neither the old name nor the new one.
  slot.check.store(content.check, std::memory_order_relaxed);
  for (std::size_t i = 0; i < content.text.size(); ++i)
    slot.text[i].store(content.text[i], std::memory_order_relaxed);
}

std::optional<RememberedName> NameTable::find(std::span<const NameSlot> slots, std::uint64_t tag_hash) {
  for (std::size_t probe = 0; probe < probes(slots.size()); ++probe) {
    const Content content = load(slots[slot_of(slots.size(), tag_hash, probe)]);
    if (content.tag_hash == 0) return std::nullopt;  // the user would have taken this slot
    if (content.tag_hash == tag_hash && content.believed())
      return RememberedName{std::string(content.name()), content.cut()};
  }
  return std::nullopt;
}

}  // namespace weir::detail

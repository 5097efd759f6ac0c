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
  const std::uint64_t length = check & kLengthMask;
  return length <= NameSlot::kBytes && check == expected_check(length);
}

std::string_view NameTable::Content::name() const noexcept {
  return {reinterpret_cast<const char*>(text.data()), check & kLengthMask};
}

NameTable::Content NameTable::load(const NameSlot& slot) noexcept {
  Content content;
  content.tag_hash = slot.tag_hash.load(std::memory_order_relaxed);
  content.check = slot.check.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < content.text.size(); ++i)
    content.text[i] = slot.text[i].load(std::memory_order_relaxed);
  return content;
}

NameSlot& NameTable::slot_of(std::uint64_t tag_hash) const noexcept {
  return slots_[scaled(tag_hash << (64 - UserTable::kHashBits), slots_.size())];
}

void NameTable::remember(std::uint64_t tag_hash, std::string_view name) noexcept {
  if (slots_.empty()) return;
  Content content{.tag_hash = tag_hash, .check = 0, .text = {}};
  const std::size_t length = std::min(name.size(), NameSlot::kBytes);
  if (length > 0) std::memcpy(content.text.data(), name.data(), length);
  content.check = content.expected_check(length);

  NameSlot& slot = slot_of(tag_hash);
  slot.tag_hash.store(content.tag_hash, std::memory_order_relaxed);
  // crash between any two: the checksum fits neither the old name nor the new one.
  slot.check.store(content.check, std::memory_order_relaxed);
  for (std::size_t i = 0; i < content.text.size(); ++i)
    slot.text[i].store(content.text[i], std::memory_order_relaxed);
}

std::optional<std::string> NameTable::find(std::uint64_t tag_hash) const {
  if (slots_.empty()) return std::nullopt;
  const Content content = load(slot_of(tag_hash));
  if (content.tag_hash != tag_hash || !content.believed()) return std::nullopt;
  return std::string(content.name());
}

}  // namespace weir::detail

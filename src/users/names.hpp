#pragma once

// What users are called, for whoever inspects: a bounded, lossy memory of names. Off unless configured, since
// it puts keys of users into the segment.
//
// A slot belongs to whoever's hash names it: the last who came. It holds the hash, the first 48 bytes of the
// name and a checksum over both, in eight words that are stored one by one. Nobody owns a slot while writing
// it: a reader believes what the checksum confirms, and nothing else.
//   crash half-way, or two writers at once   words of two names, which nobody believes until the next user
//                                            who falls on the slot writes it whole
//
// Ordering  relaxed throughout: the checksum tells a whole name from a torn one, whatever the order.
// Bounds    the index comes from the hash and the private size; 48 bytes are copied out, then checked.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "base/word.hpp"

namespace weir::detail {

struct alignas(kCacheLine) NameSlot {
  static constexpr std::size_t kBytes = 48;

  Word tag_hash;
  Word check;  ///< checksum 56 | length 8
  std::array<Word, kBytes / sizeof(Word)> text;
};
static_assert(sizeof(NameSlot) == kCacheLine);

class NameTable {
 public:
  NameTable() = default;
  explicit NameTable(std::span<NameSlot> slots) noexcept : slots_(slots) {}

  /// Writes down what the user of `tag_hash` (UserTable::tag_hash) is called; longer names are cut.
  void remember(std::uint64_t tag_hash, std::string_view name) noexcept;

  /// The name's first bytes, if it is still remembered. Any bytes: escape them before printing.
  [[nodiscard]] std::optional<std::string> find(std::uint64_t tag_hash) const;

  /// Shows every name to visit(uint64_t tag_hash, std::string_view name).
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const NameSlot& slot : slots_) {
      const Content content = load(slot);
      if (content.believed()) visit(content.tag_hash, content.name());
    }
  }

 private:
  /// A private copy of a slot.
  struct Content {
    std::uint64_t tag_hash = 0;
    std::uint64_t check = 0;
    std::array<std::uint64_t, NameSlot::kBytes / sizeof(std::uint64_t)> text{};

    [[nodiscard]] std::uint64_t expected_check(std::uint64_t length) const noexcept;
    [[nodiscard]] bool believed() const noexcept;
    [[nodiscard]] std::string_view name() const noexcept;
  };

  static Content load(const NameSlot& slot) noexcept;
  [[nodiscard]] NameSlot& slot_of(std::uint64_t tag_hash) const noexcept;

  std::span<NameSlot> slots_;
};

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Remembers the names of users, up to a configured number, for people who inspect a segment. It is off by default,
// because it puts the names into the segment.
//
// A slot holds the hash of a user, the first 48 bytes of its name, the length of the whole name, and a
// checksum over all of these, in eight words that are stored one by one. A user may have any of kProbes
// slots, in an order that its hash determines; it takes the first slot that was never used, by a
// compare-exchange of the hash. There are two slots for each name that the configuration asks for, so all of
// these names find one. When all slots of a user are taken, the user overwrites the first, which then belongs
// to the user who came last. A reader believes only what the checksum confirms.
//
// Crash     half-way, or two processes that overwrite at once: the words are of two names, which readers do
//           not believe until the next user of the slot writes it completely.
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
  Word check;  ///< checksum 56 | length 8; a length above kBytes means that the name was cut
  std::array<Word, kBytes / sizeof(Word)> text;
};
static_assert(sizeof(NameSlot) == kCacheLine);

struct RememberedName {
  std::string text;  ///< any bytes: escape them before printing
  bool cut = false;  ///< the name is longer, and this is its beginning

  friend bool operator==(const RememberedName&, const RememberedName&) = default;
};

class NameTable {
 public:
  /// The number of slots for `names` names.
  [[nodiscard]] static constexpr std::uint64_t slots_for(std::uint64_t names) noexcept { return 2 * names; }

  NameTable() = default;
  explicit NameTable(std::span<NameSlot> slots) noexcept : slots_(slots) {}

  /// Remembers what the user of `tag_hash` (UserTable::tag_hash) is called; longer names are cut.
  void remember(std::uint64_t tag_hash, std::string_view name) noexcept;

  /// The name, if it is still remembered.
  [[nodiscard]] std::optional<RememberedName> find(std::uint64_t tag_hash) const {
    return find(slots_, tag_hash);
  }
  /// Finds a name for a process that only reads.
  [[nodiscard]] static std::optional<RememberedName> find(std::span<const NameSlot> slots,
                                                          std::uint64_t tag_hash);

  /// Calls visit(uint64_t tag_hash, std::string_view name) for every name.
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
    [[nodiscard]] bool cut() const noexcept;
  };

  static constexpr std::size_t kProbes =
      24;  // with half the slots taken, fewer than one name in a million finds none

  static Content load(const NameSlot& slot) noexcept;
  [[nodiscard]] static std::size_t probes(std::size_t slots) noexcept {
    return slots < kProbes ? slots : kProbes;
  }
  /// The index of the slot that a user looks at in its `probe`-th attempt.
  [[nodiscard]] static std::size_t slot_of(std::size_t slots, std::uint64_t tag_hash,
                                           std::size_t probe) noexcept;
  [[nodiscard]] NameSlot& slot_to_write(std::uint64_t tag_hash) const noexcept;

  std::span<NameSlot> slots_;
};

}  // namespace weir::detail

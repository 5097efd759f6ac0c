// SPDX-License-Identifier: Apache-2.0
#pragma once

// A bucket of the user table: eight entries {tag, state}, and how the entry with a tag is found. What becomes of
// entries is in table.hpp.
//
//   tag   reserved 1 | limit 14 | part 4 | hash 45; 0: the entry is empty
//
// Ordering  sync(entry): a plain look loads tag, state and tag again. Both loads acquire and every exchange releases, so
//           a look that meets a later state also meets the later tag.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

// Where it can be, the tags of a bucket are compared two at a time. Not where every access to a word is to be seen.
#if defined(__SSE2__) && !defined(WEIR_WORD_HOOKS) && !defined(__SANITIZE_THREAD__)
#define WEIR_COMPARES_TAGS_AT_ONCE
#include <emmintrin.h>
#endif

#include "base/word.hpp"

namespace weir::detail {

/// Which limit an entry belongs to: its id, and a part number if one entry does not hold all of its state.
struct UserLimit {
  std::uint16_t id = 0;   ///< 1 to 16,383
  std::uint8_t part = 0;  ///< 0 to 15
};

/// An entry that a look found.
struct FoundEntry {
  PairWord* entry;  ///< nullptr: absent
  std::uint64_t tag;
  std::uint64_t state;
};

namespace user_tag {

inline constexpr unsigned kHashBits = 45;
inline constexpr std::uint64_t kReserved = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kHashMask = (std::uint64_t{1} << kHashBits) - 1;

[[nodiscard]] inline std::uint64_t of(UserLimit limit, std::uint64_t tag_hash) noexcept {
  return (std::uint64_t{limit.id} << 4 | limit.part) << kHashBits | tag_hash;
}
[[nodiscard]] inline UserLimit limit_of(std::uint64_t tag) noexcept {
  const std::uint64_t bits = (tag & ~kReserved) >> kHashBits;
  return {static_cast<std::uint16_t>(bits >> 4), static_cast<std::uint8_t>(bits & 0xf)};
}
[[nodiscard]] inline bool is_live(std::uint64_t tag) noexcept {
  return tag != 0 && (tag & kReserved) == 0;
}

}  // namespace user_tag

struct alignas(2 * kCacheLine) UserBucket {
  static constexpr std::size_t kEntries = 8;
  std::array<PairWord, kEntries> entries;

  /// The live entry with a tag, or nothing.
  [[nodiscard]] FoundEntry find(std::uint64_t tag) noexcept {
    const std::size_t at = position_of(tag);
    if (at == kEntries) [[unlikely]]
      return FoundEntry{};
    return confirmed(entries[at], tag);
  }

  /// Both halves of one moment, as far as plain loads can tell. A caller that acts on them compare-exchanges
  /// both.
  [[nodiscard]] static Pair look(const PairWord& entry) noexcept {
    for (;;) {
      const std::uint64_t tag = entry.load_first(std::memory_order_acquire);  // sync(entry)
      // This is done for an empty entry, too: if its state were assumed to be 0, an insertion would never
      // meet what it expects there.
      const std::uint64_t state = entry.load_second(std::memory_order_acquire);
      if (entry.load_first(std::memory_order_relaxed) == tag) return {tag, state};
    }
  }

 private:
  /// Where a tag lies, or seems to: confirmed() reads it again. No branch depends on the place,
  /// because it could not be predicted. @return kEntries: nowhere.
  [[nodiscard]] std::size_t position_of(std::uint64_t tag) const noexcept {
#ifdef WEIR_COMPARES_TAGS_AT_ONCE
    const auto* const pairs = reinterpret_cast<const __m128i*>(this);
    const __m128i wanted = _mm_set1_epi64x(static_cast<long long>(tag));
    // For entries i and i + 1: all bits of each half of a tag that equals the wanted one.
    const auto equal = [&](std::size_t i) {
      return _mm_cmpeq_epi32(_mm_unpacklo_epi64(pairs[i], pairs[i + 1]), wanted);
    };
    const __m128i halves =
        _mm_packs_epi16(_mm_packs_epi32(equal(0), equal(2)), _mm_packs_epi32(equal(4), equal(6)));
    const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(halves));  // two for each entry
    const std::uint32_t both = bits & bits >> 1 & 0x5555;
    return both != 0 ? static_cast<std::size_t>(std::countr_zero(both)) / 2 : kEntries;
#else
    std::size_t at = kEntries;
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kEntries; ++i) {
      at = entries[i].load_first(std::memory_order_relaxed) == tag ? i : at;
    }
    return at;
#endif
  }
  static FoundEntry confirmed(PairWord& entry, std::uint64_t tag) noexcept {
    if (entry.load_first(std::memory_order_acquire) != tag) return {};  // sync(entry)
    const std::uint64_t state = entry.load_second(std::memory_order_acquire);
    return entry.load_first(std::memory_order_relaxed) == tag ? FoundEntry{&entry, tag, state} : FoundEntry{};
  }
};

}  // namespace weir::detail

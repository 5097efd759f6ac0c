// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits as they lie in the segment: a block for everything (global), for each operation, and for each
// user with limits of its own. Every block has the same shape, so the place of a limit is arithmetic, nothing
// in the segment points anywhere, and a live change is a store.
//
//   block   present | exempt | name | 16 records for the limits over all users, 16 for those of each user
//   record    params | state | cells | before | period | would_refuse | changed | listing
//
// A limit keeps its record while it lasts, wherever it stands in the list (policy/line_up.hpp): what is owed
// under it lies in the record, and in the entries of users, whose id names the record. Where it stands is one
// of its words.
//
// `present` says which records are limits: the low half those that are enforced, the high half those that
// only count. A record is filled before its bit is set, so a worker that sees the bit sees the limit; params
// are one word, so a worker sees all of them or none.
//
// Ordering  sync(present): release when a bit is set, acquire in a decision. params: relaxed, alone.
// Crash     killed between the stores of a change: the limit is the old or the new one; a record whose bit is
//           not set is not in use.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"
#include "weir/policy.hpp"

#include "base/hash.hpp"
#include "base/word.hpp"
#include "policy/params.hpp"

namespace weir::detail {

enum class LimitScope : std::uint8_t { shared = 0, user = 1 };
enum class LimitKind : std::uint8_t { rate, window, permits, cooldown, breaker };

// Positions of the records of one scope.
inline constexpr std::uint32_t kFirstRate = 0;
inline constexpr std::uint32_t kFirstWindow = kFirstRate + kMaxRates;
/// One more than a list may have: a window over all callers whose length or kind changes goes on in another
/// record.
inline constexpr std::uint32_t kWindowRecords = kMaxWindows + 1;
inline constexpr std::uint32_t kPermits = kFirstWindow + kWindowRecords;
inline constexpr std::uint32_t kPermitsCandidate = kPermits + 1;
inline constexpr std::uint32_t kCooldown = kPermits + 2;
inline constexpr std::uint32_t kBreaker = kPermits + 3;
inline constexpr std::uint32_t kScopeLimits = 16;
inline constexpr std::uint32_t kBlockLimits = 2 * kScopeLimits;
static_assert(kBreaker < kScopeLimits);

/// A set of records of a block.
using LimitMask = std::uint32_t;

namespace masks {
[[nodiscard]] constexpr LimitMask range(std::uint32_t first, std::uint32_t count) noexcept {
  return ((LimitMask{1} << count) - 1) << first;
}
inline constexpr LimitMask kRates = range(kFirstRate, kMaxRates);
inline constexpr LimitMask kWindows = range(kFirstWindow, kWindowRecords);
inline constexpr LimitMask kBulkheads = range(kPermits, 2);
inline constexpr LimitMask kCooldowns = range(kCooldown, 1);
inline constexpr LimitMask kBreakers = range(kBreaker, 1);
inline constexpr LimitMask kShared = range(0, kScopeLimits);
inline constexpr LimitMask kUser = kShared << kScopeLimits;
}  // namespace masks

/// The positions of the bits of a mask, lowest first.
template <class Mask>
class BitRange {
 public:
  class Iterator {
   public:
    constexpr explicit Iterator(Mask mask) noexcept : mask_(mask) {}
    [[nodiscard]] constexpr std::uint32_t operator*() const noexcept {
      return static_cast<std::uint32_t>(std::countr_zero(mask_));
    }
    constexpr Iterator& operator++() noexcept {
      mask_ &= mask_ - 1;
      return *this;
    }
    friend constexpr bool operator==(Iterator, Iterator) = default;

   private:
    Mask mask_;
  };

  constexpr explicit BitRange(Mask mask) noexcept : mask_(mask) {}
  [[nodiscard]] constexpr Iterator begin() const noexcept { return Iterator(mask_); }
  [[nodiscard]] constexpr Iterator end() const noexcept { return Iterator(0); }

 private:
  Mask mask_;
};
using LimitIndices = BitRange<LimitMask>;

[[nodiscard]] constexpr LimitKind kind_of(std::uint32_t index) noexcept {
  const std::uint32_t position = index % kScopeLimits;
  if (position < kFirstWindow) return LimitKind::rate;
  if (position < kPermits) return LimitKind::window;
  if (position < kCooldown) return LimitKind::permits;
  return position == kCooldown ? LimitKind::cooldown : LimitKind::breaker;
}
[[nodiscard]] constexpr LimitScope scope_of(std::uint32_t index) noexcept {
  return index < kScopeLimits ? LimitScope::shared : LimitScope::user;
}

/// Where a limit lies. Its number, from 1, is its LimitId and the id of its entries in the user table.
struct LimitRef {
  std::uint32_t block = 0;
  std::uint32_t index = 0;

  [[nodiscard]] constexpr LimitId id() const noexcept {
    return LimitId{static_cast<std::uint16_t>(1 + block * kBlockLimits + index)};
  }
  [[nodiscard]] static constexpr LimitRef of(LimitId id) noexcept {
    const std::uint32_t number = static_cast<std::uint32_t>(id) - 1U;
    return {number / kBlockLimits, number % kBlockLimits};
  }
  friend constexpr bool operator==(LimitRef, LimitRef) = default;
};

struct alignas(kCacheLine) LimitRecord {
  Word params;  ///< packed; 0: no limit
  Word state;   ///< what callers owe together; of permits the highest limit ever, see permit_cells()
                ///< and permit_parts(); of other limits per user unused (the user table has it)
  Word cells;   ///< {offset 32 | count 32} of its own words in a cells section, if it has some
  Word before;  ///< of a rate, for people: its count as it was written, checked against params when shown;
                ///< of a window of each user the params before its length or kind changed, see UserRule
  Word period;  ///< of a rate: ns, the same; of a window of each user 1 while states may be of `before`
  Word would_refuse;  ///< refusals of a limit that only counts
  Word changed;       ///< ticks of the last live change of params; 0: as created. Stored before params
  Word listing;       ///< a Listing

  /// Whether params changed after `then` (ticks). Ask after params were read: new ones come with their time.
  [[nodiscard]] bool changed_since(std::uint64_t then) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);  // sync(changed): pairs with write_block()
    return changed.load(std::memory_order_relaxed) >= std::max<std::uint64_t>(then, 1);
  }
};
static_assert(sizeof(LimitRecord) == kCacheLine);

/// How a record stands in the configuration: for people, but for `heir_of`.
///
///   word   superseded 1 | heir of 8 | order 8 | mode 8
struct Listing {
  Mode mode = Mode::enforced;  ///< `present` decides
  std::uint32_t order = 0;     ///< position in the list, candidates included
  std::uint32_t heir_of = 0;   ///< 1 + the record that this one takes over from, until that is done; 0: none
  bool superseded = false;     ///< another record has taken over: the books are worth nothing

  [[nodiscard]] static constexpr Listing from_word(std::uint64_t word) noexcept {
    return {static_cast<Mode>(word & 0xff), static_cast<std::uint32_t>(word >> 8 & 0xff),
            static_cast<std::uint32_t>(word >> 16 & 0xff), (word >> 24 & 1) != 0};
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(mode) | std::uint64_t{order} << 8 | std::uint64_t{heir_of} << 16 |
           std::uint64_t{superseded} << 24;
  }
};

/// The words of a name of up to 71 bytes, zero-terminated.
using NameWords = std::array<Word, 9>;

/// Which records of a block are limits: its word `present`, {only counting 32 | enforced 32}.
///
/// The last record of each scope is not used, so its bits are free, and the highest one says that the block
/// stands for nothing any more. Any word is a Presence: a damaged one that says both of a record says
/// "enforced".
class Presence {
 public:
  constexpr Presence() = default;
  constexpr explicit Presence(std::uint64_t word) noexcept : word_(word) {}
  /// Of a block that was taken out.
  [[nodiscard]] static constexpr Presence of_retired() noexcept { return Presence(kRetired); }

  [[nodiscard]] constexpr LimitMask enforced() const noexcept {
    return static_cast<LimitMask>(word_) & kUsedLimits;
  }
  /// Those that only count what they would refuse.
  [[nodiscard]] constexpr LimitMask counting() const noexcept {
    return static_cast<LimitMask>(word_ >> kBlockLimits) & kUsedLimits & ~enforced();
  }
  [[nodiscard]] constexpr LimitMask any() const noexcept { return enforced() | counting(); }
  [[nodiscard]] constexpr bool has(std::uint32_t index) const noexcept { return (any() >> index & 1) != 0; }
  [[nodiscard]] constexpr bool counts_only(std::uint32_t index) const noexcept {
    return (counting() >> index & 1) != 0;
  }
  [[nodiscard]] constexpr bool retired() const noexcept { return (word_ & kRetired) != 0; }

  constexpr void add(std::uint32_t index, Mode mode) noexcept {
    const std::uint32_t bit = mode == Mode::enforced ? index : index + kBlockLimits;
    word_ |= std::uint64_t{1} << bit % (2 * kBlockLimits);  // whatever a damaged listing says
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }

 private:
  static constexpr std::uint64_t kRetired = std::uint64_t{1} << 63;
  static constexpr LimitMask kUsedScope = masks::range(0, kBreaker + 1);
  static constexpr LimitMask kUsedLimits = kUsedScope | kUsedScope << kScopeLimits;
  static_assert(kBreaker + 1 < kScopeLimits, "the highest bit belongs to no line");

  std::uint64_t word_ = 0;
};

struct alignas(kCacheLine) Block {
  Word present;  ///< a Presence
  Word exempt;   ///< 1: of a user to whom no limits per user apply
  NameWords name;
  Word tenancy;  ///< how many names it had before; handles of operations say which of them they mean
  std::array<Word, 4> unused;
  std::array<LimitRecord, kBlockLimits> limits;

  [[nodiscard]] Presence presence(std::memory_order order) const noexcept {
    return Presence(present.load(order));
  }
};
static_assert(sizeof(Block) == (2 + kBlockLimits) * kCacheLine);

inline constexpr std::uint32_t kGlobalBlock = 0;
inline constexpr std::uint32_t kFirstOperation = 1;
inline constexpr std::uint32_t kFirstOverride = kFirstOperation + kMaxOperations;
inline constexpr std::uint32_t kMaxBlocks = kFirstOverride + kMaxOverrides;
static_assert(kMaxBlocks * kBlockLimits < (1U << 14), "the user table has 14 bits for the number of a limit");

/// How much of what is in use; on a line of its own. One writer at a time (see control/change.hpp).
struct alignas(kCacheLine) Control {
  Word operations;    ///< blocks of operations in use; sync(blocks): release after they were filled
  Word overrides;     ///< blocks of users in use; the same
  Word generation;    ///< live changes so far
  Word permit_cells;  ///< words of the permit cells section that are given out
  Word window_cells;  ///< the same of the window cells section
  Word turn;          ///< which state of the limits this is: see policy/turn.hpp
};

/// Finds the block of a name by its hash: open addressing. A slot whose block was given to another name is a
/// gap, which a search passes and a new name may take.
struct alignas(32) IndexSlot {
  Word hash_low;
  Word hash_high;
  Word block;  ///< 0: free; sync(index): release after the hash was stored
  Word unused;
};
inline constexpr std::uint32_t kIndexSlots = 1024;
inline constexpr std::uint64_t kGap = kMaxBlocks;
using BlockIndex = std::span<IndexSlot>;

/// A part of a cells section: {offset 32 | count 32}.
struct CellRange {
  std::uint32_t offset = 0;
  std::uint32_t count = 0;

  [[nodiscard]] static constexpr CellRange from_word(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word)};
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return std::uint64_t{offset} << 32 | count; }

  /// The words; none if the range, which somebody may have damaged, leaves the section.
  template <class Cell>
  [[nodiscard]] std::span<Cell> in(std::span<Cell> section) const noexcept {
    return std::uint64_t{offset} + count <= section.size() ? section.subspan(offset, count)
                                                           : std::span<Cell>();
  }
};

/// The block of a name; 0: none. Cost  one cache miss at most.
[[nodiscard]] std::uint32_t find_block(std::span<const IndexSlot> index, Hash128 hash) noexcept;

/// The cells of a shared concurrency limit in which anybody may hold a permit: up to the highest limit that
/// was ever in force. Whoever takes one counts those beyond today's limit too, so a lowered limit holds
/// strictly.
[[nodiscard]] inline std::span<Word> permit_cells(const LimitRecord& record, std::uint32_t limit,
                                                  std::span<Word> section) noexcept {
  const std::span<Word> cells =
      CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(section);
  // After the limit was read (acquire; sync(reach) in write_block()): so it is not lower than that.
  const std::uint64_t reach = std::max<std::uint64_t>(record.state.load(std::memory_order_relaxed), limit);
  return cells.first(static_cast<std::size_t>(std::min<std::uint64_t>(reach, cells.size())));
}

/// The entries among which a user's permits may lie: up to the highest limit that was ever in force.
[[nodiscard]] inline std::uint32_t permit_parts(const LimitRecord& record, std::uint32_t limit) noexcept {
  const std::uint64_t reach = std::max<std::uint64_t>(record.state.load(std::memory_order_relaxed), limit);
  return owner_set::parts_for(std::min<std::uint64_t>(reach, kMaxUserPermits));
}

[[nodiscard]] inline Listing listing_of(const LimitRecord& record) noexcept {
  return Listing::from_word(record.listing.load(std::memory_order_relaxed));
}

/// Those records of a block that are limits of the configuration. While one record takes over from another, both
/// are enforced, and only the new one is the configuration's.
[[nodiscard]] LimitMask listed_limits(const Block& block, Presence presence) noexcept;

/// The same, kind by kind, those of a list as they stand in it.
[[nodiscard]] std::vector<std::uint32_t> in_order(const Block& block, Presence presence,
                                                  LimitMask among = ~LimitMask{0});

/// Whether a limit is enforced, or what it only counts for.
[[nodiscard]] Mode mode_of(const Block& block, std::uint32_t index) noexcept;

/// A rate as it was written.
[[nodiscard]] Rate rate_of(const Block& block, std::uint32_t index) noexcept;

/// The place of a limit in the configuration: "operations.x.user.rate[1]".
[[nodiscard]] std::string limit_name(std::span<const Block> blocks, LimitRef ref);

[[nodiscard]] std::string read_name(const NameWords& name);
void write_name(NameWords& name, std::string_view text) noexcept;

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits as they lie in the segment: one block for all operations together (global), one for each operation,
// and one for each user with limits of its own. Every block has the same shape, so the position of a limit is
// arithmetic, the segment contains no pointers, and a live change is a store.
//
//   block   present | exempt | name | 16 records for the limits over all users, 16 for those of each user
//   record    params | state | cells | before | period | would_refuse | changed | listing
//
// A limit keeps its record for life, even when it moves within its list (policy/line_up.hpp), because what is owed
// under it lies in the record, and in entries of users whose id names the record. Its position in the list is one
// of its words.
//
// `present` says which records are limits: its low half names those that are enforced, its high half those that
// only count. A record is filled before its bit is set, so a worker that sees the bit sees the limit. The params
// are one word, so a worker sees all of them or none.
//
// Ordering  sync(present): release when a bit is set, acquire in a decision. The params are loaded relaxed, since
//           they publish nothing else.
// Crash     killed between the stores of a change: the limit is the old one or the new one. A record whose bit is
//           not set is not in use.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"
#include "weir/policy.hpp"

#include "base/hash.hpp"
#include "base/word.hpp"
#include "policy/params.hpp"
#include "primitives/lease.hpp"

namespace weir::detail {

enum class LimitScope : std::uint8_t { shared = 0, user = 1 };
/// A queue refuses nothing by itself. It is a record as the limits are, so that it changes live as they do.
enum class LimitKind : std::uint8_t { rate, window, permits, cooldown, breaker, queue };

// The positions of the records within one scope.
inline constexpr std::uint32_t kFirstRate = 0;
inline constexpr std::uint32_t kFirstWindow = kFirstRate + kMaxRates;
/// One more than a list may have, because a window over all callers moves to another record when its length or kind
/// changes.
inline constexpr std::uint32_t kWindowRecords = kMaxWindows + 1;
inline constexpr std::uint32_t kPermits = kFirstWindow + kWindowRecords;
inline constexpr std::uint32_t kPermitsCandidate = kPermits + 1;
inline constexpr std::uint32_t kCooldown = kPermits + 2;
inline constexpr std::uint32_t kBreaker = kPermits + 3;
inline constexpr std::uint32_t kQueue = kPermits + 4;  ///< of the shared scope alone
inline constexpr std::uint32_t kScopeLimits = 16;
inline constexpr std::uint32_t kBlockLimits = 2 * kScopeLimits;
static_assert(kQueue < kScopeLimits);

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
inline constexpr LimitMask kQueues = range(kQueue, 1);
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
  if (position == kCooldown) return LimitKind::cooldown;
  return position == kBreaker ? LimitKind::breaker : LimitKind::queue;
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
  Word state;   ///< what all callers owe together. For permits: the highest limit ever, see permit_cells()
                ///< and permit_parts(). Queues, and other limits per user, leave it unused
  Word cells;   ///< {offset 32 | count 32} of its own words in a cells section, or of its seats, if it has
                ///< some. A rate over all callers has a leased_word here
  Word before;  ///< for a rate: the count that was written, for display; checked against params when shown.
                ///< For a window of each user: the params before its length or kind changed, see UserRule
  Word period;  ///< for a rate: the period that was written, in ns, for display.
                ///< For a window of each user: 1 while states may still be of `before`
  Word would_refuse;  ///< requests that a limit which only counts would have refused
  Word changed;  ///< ticks of the last live change of params; 0: never changed. Stored before params. For a
                 ///< rate also of a change of its lease, and stored before the listing, too
  Word listing;  ///< a Listing

  [[nodiscard]] Word& leased() noexcept { return cells; }
  [[nodiscard]] const Word& leased() const noexcept { return cells; }

  /// Whether params changed after `then` (ticks). Call it after reading params: their time was stored before them.
  [[nodiscard]] bool changed_since(std::uint64_t then) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);  // sync(changed): pairs with write_block()
    return changed.load(std::memory_order_relaxed) >= std::max<std::uint64_t>(then, 1);
  }
};
static_assert(sizeof(LimitRecord) == kCacheLine);

/// Where a record stands in the configuration. It is for display, for changes and for compiling plans.
///
///   word   lease 15 | superseded 1 | heir of 8 | order 8 | mode 8
struct Listing {
  Mode mode = Mode::enforced;  ///< tells shadow from candidate; whether the limit is enforced, `present` says
  std::uint32_t order = 0;     ///< position in the list, candidates included
  std::uint32_t heir_of = 0;   ///< 1 + index of the record that this one is taking over from; 0: none
  bool superseded = false;     ///< another record has taken over, so what this one counted is out of date
  std::optional<std::uint32_t> lease{};  ///< of a rate, as it is configured: Rate::lease

  [[nodiscard]] static constexpr Listing from_word(std::uint64_t word) noexcept {
    return {static_cast<Mode>(word & 0xff), static_cast<std::uint32_t>(word >> 8 & 0xff),
            static_cast<std::uint32_t>(word >> 16 & 0xff), (word >> 24 & 1) != 0, lease_of(word >> 25)};
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(mode) | std::uint64_t{order} << 8 | std::uint64_t{heir_of} << 16 |
           std::uint64_t{superseded} << 24 | (lease ? std::uint64_t{*lease} + 1 : 0) << 25;
  }

 private:
  [[nodiscard]] static constexpr std::optional<std::uint32_t> lease_of(std::uint64_t bits) noexcept {
    const auto one_more = static_cast<std::uint32_t>(bits & 0x7fff);
    return one_more == 0 ? std::nullopt : std::optional(one_more - 1);
  }
};

/// The words of a name of up to 71 bytes, zero-terminated.
using NameWords = std::array<Word, 9>;

/// Which records of a block are limits: its word `present`, {only counting 32 | enforced 32}.
///
/// The last record of the limits of each user is not used, so its bits are free; the highest bit says that the block
/// is retired. The last record of the others is the queue, which is never one that only counts. Any word is a valid
/// Presence: if a damaged one has both bits of a record, the limit is enforced.
class Presence {
 public:
  constexpr Presence() = default;
  constexpr explicit Presence(std::uint64_t word) noexcept : word_(word) {}
  /// The word of a block that was taken out of use.
  [[nodiscard]] static constexpr Presence of_retired() noexcept { return Presence(kRetired); }

  [[nodiscard]] constexpr LimitMask enforced() const noexcept {
    return static_cast<LimitMask>(word_) & kUsedLimits;
  }
  /// Those that only count what they would refuse.
  [[nodiscard]] constexpr LimitMask counting() const noexcept {
    return static_cast<LimitMask>(word_ >> kBlockLimits) & kUsedLimits & ~masks::kQueues & ~enforced();
  }
  [[nodiscard]] constexpr LimitMask any() const noexcept { return enforced() | counting(); }
  [[nodiscard]] constexpr bool has(std::uint32_t index) const noexcept { return (any() >> index & 1) != 0; }
  [[nodiscard]] constexpr bool counts_only(std::uint32_t index) const noexcept {
    return (counting() >> index & 1) != 0;
  }
  [[nodiscard]] constexpr bool retired() const noexcept { return (word_ & kRetired) != 0; }

  constexpr void add(std::uint32_t index, Mode mode) noexcept {
    const std::uint32_t bit = mode == Mode::enforced ? index : index + kBlockLimits;
    // An index from a damaged listing may be out of bounds.
    word_ |= std::uint64_t{1} << bit % (2 * kBlockLimits);
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }

 private:
  static constexpr std::uint64_t kRetired = std::uint64_t{1} << 63;
  static constexpr LimitMask kUsedScope = masks::range(0, kBreaker + 1);
  static constexpr LimitMask kUsedLimits = kUsedScope | masks::kQueues | kUsedScope << kScopeLimits;
  static_assert((kUsedLimits >> (kBlockLimits - 1)) == 0, "the highest bit must not belong to a record");

  std::uint64_t word_ = 0;
};

struct alignas(kCacheLine) Block {
  Word present;  ///< a Presence
  Word exempt;   ///< 1: the block of a user without limits per user; only to show why it has none
  NameWords name;
  Word tenancy;  ///< how many names the block had before; a handle of an operation remembers which it means
  /// Ticks at which a live change last gave the block a limit that it did not have before. An admission from before
  /// that time was not charged under all of them, so it gives nothing back here. kNotYet: the change is not done.
  Word limits_since;
  Word overrides_since;  ///< of the global block: ticks at which a user last lost limits of its own
  std::array<Word, 2> unused;
  std::array<LimitRecord, kBlockLimits> limits;

  static constexpr std::uint64_t kNotYet = ~std::uint64_t{0};

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

/// How much of the segment is in use, on a cache line of its own. One process writes it at a time (see
/// control/change.hpp).
struct alignas(kCacheLine) Control {
  Word operations;    ///< blocks of operations in use; sync(blocks): release after they were filled
  Word overrides;     ///< blocks of users in use; sync(blocks) too
  Word generation;    ///< live changes so far
  Word permit_cells;  ///< words of the permit cells section that are given out
  Word window_cells;  ///< words of the window cells section that are given out
  Word seats;         ///< seats of the seats section that are given out
  Word turn;          ///< counts the states of the limits, see policy/turn.hpp
};

/// A slot of the index that finds the block of a name by its hash, with open addressing. A slot whose block was
/// given to another name is a gap, which a search passes over and a new name may take.
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

  /// The words; none if the range, which another process may have damaged, leaves the section.
  template <class Cell>
  [[nodiscard]] std::span<Cell> in(std::span<Cell> section) const noexcept {
    return std::uint64_t{offset} + count <= section.size() ? section.subspan(offset, count)
                                                           : std::span<Cell>();
  }
};

/// Finds the block of a name; 0: none. Cost  usually one cache miss.
[[nodiscard]] std::uint32_t find_block(std::span<const IndexSlot> index, Hash128 hash) noexcept;

/// The cells of a shared concurrency limit in which a worker may hold a permit: up to the highest limit that was
/// ever in force. A request that takes a permit also counts those beyond today's limit, so that a lowered limit
/// holds strictly.
[[nodiscard]] inline std::span<Word> permit_cells(const LimitRecord& record, std::uint32_t limit,
                                                  std::span<Word> section) noexcept {
  const std::span<Word> cells =
      CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(section);
  // The limit was read before, with acquire (sync(reach) in write_block()), so the state is not older than it.
  const std::uint64_t reach = std::max<std::uint64_t>(record.state.load(std::memory_order_relaxed), limit);
  return cells.first(static_cast<std::size_t>(std::min<std::uint64_t>(reach, cells.size())));
}

/// How many entries a user's permits may lie in: enough for the highest limit that was ever in force.
[[nodiscard]] inline std::uint32_t permit_parts(const LimitRecord& record, std::uint32_t limit) noexcept {
  const std::uint64_t reach = std::max<std::uint64_t>(record.state.load(std::memory_order_relaxed), limit);
  return owner_set::parts_for(std::min<std::uint64_t>(reach, kMaxUserPermits));
}

[[nodiscard]] inline Listing listing_of(const LimitRecord& record) noexcept {
  return Listing::from_word(record.listing.load(std::memory_order_relaxed));
}

/// What may be leased of a rate over all callers.
[[nodiscard]] inline LeaseTerms lease_terms(const LimitRecord& record, TokenBucketParams rate) noexcept {
  const std::optional<std::uint32_t> configured = listing_of(record).lease;
  return configured ? LeaseTerms::of(rate, *configured) : LeaseTerms::of(rate);
}

/// The records of a block that are limits of the configuration. While one record takes over from another, both are
/// enforced, but only the new one belongs to the configuration.
[[nodiscard]] LimitMask listed_limits(const Block& block, Presence presence) noexcept;

/// The indices of the listed limits, kind by kind; those of a list are in its order.
[[nodiscard]] std::vector<std::uint32_t> in_order(const Block& block, Presence presence,
                                                  LimitMask among = ~LimitMask{0});

[[nodiscard]] Mode mode_of(const Block& block, std::uint32_t index) noexcept;

/// A rate in the count and period that the operator wrote.
[[nodiscard]] Rate rate_of(const Block& block, std::uint32_t index) noexcept;

/// The key of a limit in the configuration: "operations.x.user.rate[1]".
[[nodiscard]] std::string limit_name(std::span<const Block> blocks, LimitRef ref);

[[nodiscard]] std::string read_name(const NameWords& name);
void write_name(NameWords& name, std::string_view text) noexcept;

}  // namespace weir::detail

#pragma once

// One entry of 16 bytes for each (user, limit) that holds something against the user.
//
// Set-associative: a user's key names two buckets of eight entries, and all entries of that user lie in
// these two. An entry is {tag, state}: the tag says whose and which limit, the state is the limit's word, 0 =
// "never seen". Every change is one 16-byte compare-exchange, so identity and state change together: nobody
// is ever charged for the user who had the entry before.
//
// States of an entry                                    what a kill right after the change leaves
//   empty     {0, 0}                                     nothing
//   reserved  {tag | kReserved, ticket}                  a reservation; whoever wants the key completes it
//   live      {tag, state}                               a charged user
//
// Insertion. Two workers that insert the same key at once must not leave two live entries.
//   1. reserve:  empty (or a victim) -> reserved, with a ticket that nobody has used before.
//   2. settle:   look at every other entry of both buckets.
//                the key is live elsewhere        -> withdraw (reserved -> empty) and use that one.
//                reserved at a lower place        -> withdraw, and settle that one.
//                reserved at a higher place       -> reserved -> empty there.
//   3. promote:  reserved with that ticket -> live, already charged.
// Why it holds: take two reservations of one key, both promoted. The one made later was settled after both
// existed, so its settler met the earlier one: live, and it withdrew; or reserved, and one of the two was
// emptied, whose promotion then fails, since no ticket comes twice. Progress: the lowest place wins.
// A reservation that a dead process left and nobody wants is overwritten once it is old (kStaleTickets).
//
// Victims: an empty entry; else one at rest (its state equals "never seen", so forgetting it loses nothing);
// else, by policy, the one nearest to rest. Never by age: a flood could push out its own debts.
//
// Forgetting and late clocks. Who evicts judges "at rest" by its own clock; who inserts the same user again
// may have read the clock long before (it was stopped in between) and would find a full bucket too early. So
// the evictor first raises `forgotten`, the latest time at which anybody was forgotten, and an absent user
// counts as one who came to rest just then.
//
// Ordering  the compare-exchanges are sequentially consistent, so of two settlers at least one sees the
// other.
//           Plain looks are loads of tag, state and tag again.
// Bounds    every index is computed from the key and the private geometry; a damaged entry can only be a
//           wrong user's state, and one whose limit does not exist counts as at rest.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "base/hash.hpp"
#include "base/word.hpp"

namespace weir::detail {

/// Counters of a table, on a line of their own; written on insertion and when the table is full.
struct alignas(kCacheLine) UserTableCounters {
  Word tickets;    ///< insertions begun
  Word forgotten;  ///< latest time, in ticks, at which an entry at rest was given to somebody else
  Word evicted;    ///< users forgotten although they owed something
  Word refused;    ///< requests refused for want of an entry
  Word unlimited;  ///< requests admitted uncharged for want of an entry
};

struct alignas(2 * kCacheLine) UserBucket {
  static constexpr std::size_t kEntries = 8;
  std::array<PairWord, kEntries> entries;
};

/// Which limit an entry belongs to: its id, and which part of it where one entry does not hold all of its
/// state.
struct UserLimit {
  std::uint16_t id = 0;   ///< 1 to 2,047
  std::uint8_t part = 0;  ///< 0 to 15
};

/// Where a user's entries lie and what they are tagged with.
struct UserKey {
  std::array<std::size_t, 2> buckets{};
  std::uint64_t tag_hash = 0;  ///< the tag without its limit
};

/// The debt of an entry that must not be forgotten.
inline constexpr std::uint64_t kPinned = std::numeric_limits<std::uint64_t>::max();

/// A change of one limit's state of one user. All calls are repeated after every lost race.
template <class T>
concept UserChange = requires(T change, UserLimit limit, std::uint64_t word) {
  /// The state after the change; nullopt declines it, and nothing is written.
  { change.next(word) } -> std::convertible_to<std::optional<std::uint64_t>>;
  /// The state of an absent user, who came to rest at `word` ticks or before.
  { change.never_seen(word) } -> std::same_as<std::uint64_t>;
  /// What an entry of `limit` owes: 0 at rest, kPinned never a victim.
  { change.debt(limit, word) } -> std::same_as<std::uint64_t>;
  /// The present, in ticks.
  { change.now } -> std::convertible_to<std::uint64_t>;
  /// Whether a user who owes something may be forgotten for this one.
  { change.may_evict } -> std::convertible_to<bool>;
};

class UserTable {
 public:
  /// An entry met by a look; a hint for the change that follows.
  struct Found {
    PairWord* entry;  ///< nullptr: absent
    std::uint64_t state;
  };

  enum class Outcome : std::uint8_t {
    changed,
    declined,  ///< the change said no; nothing was written
    full,      ///< no entry to be had
  };

  UserTable() = default;
  UserTable(std::span<UserBucket> buckets, UserTableCounters* counters) noexcept
      : buckets_(buckets), counters_(counters) {}

  /// Buckets that `entries` entries need.
  [[nodiscard]] static std::uint64_t buckets_for(std::uint64_t entries) noexcept {
    return std::max<std::uint64_t>(2, (entries + UserBucket::kEntries - 1) / UserBucket::kEntries);
  }

  /// The key of a user. A limit that needs more than `kPartsTogether` entries puts the next ones elsewhere:
  /// `group`.
  [[nodiscard]] UserKey key(Hash128 hash, std::uint32_t group = 0) const noexcept;
  static constexpr std::uint32_t kPartsTogether = 4;

  /// Fetches the key's buckets into the cache, to be written.
  void prefetch(const UserKey& key) const noexcept;

  /// Looks only.
  [[nodiscard]] Found find(const UserKey& key, UserLimit limit) const noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    for (const std::size_t bucket : key.buckets) {
      for (PairWord& entry : buckets_[bucket].entries) {
        if (entry.load_first(std::memory_order_acquire) != tag) continue;
        const std::uint64_t state = entry.load_second(std::memory_order_acquire);
        if (entry.load_first(std::memory_order_relaxed) == tag) return {&entry, state};
      }
    }
    return {};
  }

  /// Changes the state of (key, limit), inserting it if it is absent.
  /// @param live  in: what a look has met, or {}. out: where it is, unless it was inserted.
  template <UserChange Change>
  Outcome update(const UserKey& key, UserLimit limit, Found& live, const Change& change) noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    for (;;) {
      if (live.entry == nullptr) live = find(key, limit);
      if (live.entry == nullptr) {
        const Survey survey = look_around(key, tag, change);
        if (survey.live.entry == nullptr) {
          const Attempt attempt = insert(key, tag, survey, change);
          if (attempt == Attempt::lost) continue;
          return static_cast<Outcome>(attempt);
        }
        live = survey.live;
      }
      const std::optional<std::uint64_t> next = change.next(live.state);
      if (!next) return Outcome::declined;
      Pair seen{tag, live.state};
      if (live.entry->compare_exchange(seen, {tag, *next})) return Outcome::changed;
      live = seen.first == tag ? Found{live.entry, seen.second} : Found{};
    }
  }

  /// The same, for who has not looked.
  template <UserChange Change>
  Outcome update(const UserKey& key, UserLimit limit, const Change& change) noexcept {
    Found live{};
    return update(key, limit, live, change);
  }

  /// Changes the state of (key, limit) if it has an entry. @return whether it was changed.
  /// `hint`: an entry that held it lately, or nullptr.
  template <class Step>
  bool modify(const UserKey& key, UserLimit limit, PairWord* hint, Step&& step) noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    const bool still_there = hint != nullptr && hint->load_first(std::memory_order_acquire) == tag;
    Found live = still_there ? Found{hint, hint->load_second(std::memory_order_acquire)} : find(key, limit);
    while (live.entry != nullptr) {
      const std::optional<std::uint64_t> next = step(live.state);
      if (!next) return false;
      Pair seen{tag, live.state};
      if (live.entry->compare_exchange(seen, {tag, *next})) return true;
      live = seen.first == tag ? Found{live.entry, seen.second} : find(key, limit);
    }
    return false;
  }

  /// Changes live entries wherever they are. step: (UserLimit, uint64_t state) -> optional<uint64_t>.
  /// @return how many were changed.
  template <class Step>
  std::uint64_t modify_all(Step&& step) noexcept {
    std::uint64_t changed = 0;
    for (UserBucket& bucket : buckets_) {
      for (PairWord& entry : bucket.entries) changed += modify_entry(entry, step) ? 1 : 0;
    }
    return changed;
  }

  /// Shows every live entry to visit(UserLimit, uint64_t state). Looks only.
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (const UserBucket& bucket : buckets_) {
      for (const PairWord& entry : bucket.entries) {
        const Pair seen = look(entry);
        if (is_live(seen.first)) visit(limit_of(seen.first), seen.second);
      }
    }
  }

  [[nodiscard]] std::uint64_t capacity() const noexcept { return buckets_.size() * UserBucket::kEntries; }
  [[nodiscard]] UserTableCounters& counters() const noexcept { return *counters_; }

 private:
  static constexpr std::size_t kPlaces = 2 * UserBucket::kEntries;
  static constexpr std::uint64_t kReserved = std::uint64_t{1} << 63;
  static constexpr unsigned kLimitShift = 48;  // tag: reserved 1 | limit 11 | part 4 | hash 48
  static constexpr std::uint64_t kHashMask = (std::uint64_t{1} << kLimitShift) - 1;
  /// A reservation this many insertions old was left by the dead (or by one so slow that it tries again).
  static constexpr std::uint64_t kStaleTickets = 4096;

  enum class Attempt : std::uint8_t {
    done = static_cast<int>(Outcome::changed),
    declined = static_cast<int>(Outcome::declined),
    full = static_cast<int>(Outcome::full),
    lost,  ///< somebody else moved first: look again
  };

  /// An entry that an insertion may take. Rank 0: empty; 1: at rest; above: owes rank - 1; kPinned: not to be
  /// had.
  struct Victim {
    PairWord* entry = nullptr;
    Pair seen;
    std::uint64_t rank = kPinned;
  };

  /// What one pass over both buckets has met.
  struct Survey {
    Found live{};
    std::size_t reserved_place = kPlaces;  ///< the lowest reservation of this key
    std::uint64_t ticket = 0;
    Victim victim;
  };

  static std::uint64_t tag_of(const UserKey& key, UserLimit limit) noexcept {
    return (std::uint64_t{limit.id} << 4 | limit.part) << kLimitShift | key.tag_hash;
  }
  static UserLimit limit_of(std::uint64_t tag) noexcept {
    const std::uint64_t bits = (tag & ~kReserved) >> kLimitShift;
    return {static_cast<std::uint16_t>(bits >> 4), static_cast<std::uint8_t>(bits & 0xf)};
  }
  static bool is_live(std::uint64_t tag) noexcept { return tag != 0 && (tag & kReserved) == 0; }

  [[nodiscard]] PairWord& place(const UserKey& key, std::size_t i) const noexcept {
    return buckets_[key.buckets[i / UserBucket::kEntries]].entries[i % UserBucket::kEntries];
  }

  /// Both halves of one moment, as far as plain loads can tell: whoever acts on them compare-exchanges both.
  static Pair look(const PairWord& entry) noexcept;

  template <class Change>
  Survey look_around(const UserKey& key, std::uint64_t tag, const Change& change) const noexcept {
    Survey survey;
    std::array<Victim, 2> best;
    std::array<std::size_t, 2> empty{};
    for (std::size_t i = 0; i < kPlaces; ++i) {
      PairWord& entry = place(key, i);
      const Pair seen = look(entry);
      if (seen.first == tag) {
        survey.live = {&entry, seen.second};
        return survey;
      }
      if (seen.first == (tag | kReserved)) {
        if (i < survey.reserved_place) survey.reserved_place = i, survey.ticket = seen.second;
        continue;
      }
      const std::size_t bucket = i / UserBucket::kEntries;
      const std::uint64_t rank = rank_of(seen, change);
      if (rank < best[bucket].rank) best[bucket] = {&entry, seen, rank};
      if (rank == 0) ++empty[bucket];
    }
    // The emptier bucket, so that both fill evenly; without an empty entry, whoever owes least.
    const bool second = best[1].rank < best[0].rank || empty[1] > empty[0];
    survey.victim = best[second ? 1 : 0];
    return survey;
  }

  template <class Change>
  std::uint64_t rank_of(Pair seen, const Change& change) const noexcept {
    if (seen.first == 0) return 0;
    if (!is_live(seen.first)) return is_stale(seen.second) ? 1 : kPinned;
    const std::uint64_t debt = change.debt(limit_of(seen.first), seen.second);
    return debt == kPinned ? kPinned : debt + 1;
  }

  template <class Change>
  Attempt insert(const UserKey& key, std::uint64_t tag, const Survey& survey, const Change& change) noexcept {
    if (!first_state(change)) return Attempt::declined;  // before anything is written
    if (survey.reserved_place != kPlaces)
      return settle(key, tag, survey.reserved_place, survey.ticket, change);
    const Victim& victim = survey.victim;
    if (victim.rank == kPinned || (victim.rank > 1 && !change.may_evict)) return Attempt::full;
    if (victim.rank > 0) raise_forgotten(change.now);
    const std::uint64_t ticket = counters_->tickets.fetch_add(1, std::memory_order_relaxed) + 1;
    Pair seen = victim.seen;
    if (!victim.entry->compare_exchange(seen, {tag | kReserved, ticket})) return Attempt::lost;
    // crash here: a reservation, which whoever wants the key completes.
    if (victim.rank > 1) counters_->evicted.fetch_add(1, std::memory_order_relaxed);
    return settle(key, tag, place_of(key, victim.entry), ticket, change);
  }

  /// Steps 2 and 3 of an insertion, for the reservation at place `own`, whoever made it.
  template <class Change>
  Attempt settle(const UserKey& key, std::uint64_t tag, std::size_t own, std::uint64_t ticket,
                 const Change& change) noexcept {
    const Pair reservation{tag | kReserved, ticket};
    for (std::size_t i = 0; i < kPlaces; ++i) {
      if (i != own && !yields_to(place(key, i), tag, own < i)) return withdraw(place(key, own), reservation);
    }
    // Only now: whoever forgot this user did so before the reservation, so `forgotten` has its time.
    const std::optional<std::uint64_t> state = first_state(change);
    if (!state) {
      withdraw(place(key, own), reservation);
      return Attempt::declined;
    }
    Pair seen = reservation;
    return place(key, own).compare_exchange(seen, {tag, *state}) ? Attempt::done : Attempt::lost;
  }

  template <class Change>
  std::optional<std::uint64_t> first_state(const Change& change) const noexcept {
    return change.next(change.never_seen(counters_->forgotten.load(std::memory_order_acquire)));
  }

  template <class Step>
  static bool modify_entry(PairWord& entry, Step& step) noexcept {
    Pair seen = look(entry);
    while (is_live(seen.first)) {
      const std::optional<std::uint64_t> next = step(limit_of(seen.first), seen.second);
      if (!next) return false;
      if (entry.compare_exchange(seen, {seen.first, *next})) return true;
    }
    return false;
  }

  /// Whether `other` leaves the key to a reservation elsewhere; one at a higher place is emptied.
  static bool yields_to(PairWord& other, std::uint64_t tag, bool other_is_higher) noexcept;
  static Attempt withdraw(PairWord& own, Pair reservation) noexcept;
  void raise_forgotten(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_stale(std::uint64_t ticket) const noexcept;
  [[nodiscard]] std::size_t place_of(const UserKey& key, const PairWord* entry) const noexcept;

  std::span<UserBucket> buckets_;
  UserTableCounters* counters_ = nullptr;
};

}  // namespace weir::detail

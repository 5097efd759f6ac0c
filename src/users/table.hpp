// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table has one entry of 16 bytes for each (user, limit) under which the user owes or holds something.
//
// It is set-associative: a user's key names a home bucket of eight entries, and all entries of that user lie
// there unless it is crowded. Otherwise an entry lies in one of four further buckets, which its tag names;
// they are different for each limit of the user. An entry is {tag, state}: the tag says whose it is and for
// which limit, the state is the limit's word, and 0 means "never seen". Every change is one 16-byte
// compare-exchange, so identity and state change together: a user is never charged for the previous owner of
// its entry.
//
// States of an entry                                    what a kill right after the change leaves
//   empty     {0, 0}; damaged: {0, anything}             nothing
//   reserved  {tag | kReserved, ticket}                  a reservation; the next process that wants the key
//                                                        completes it
//   live      {tag, state}                               a charged user
//
// Insertion. Two workers that insert the same key at the same time must not leave two live entries.
//   1. reserve:  empty (or a victim) -> reserved, with a ticket that was never used before.
//   2. settle:   look at every other entry of the five buckets.
//                the key is live elsewhere        -> withdraw (reserved -> empty) and use that one.
//                reserved at a lower position     -> withdraw, and settle that one.
//                reserved at a higher position    -> reserved -> empty there.
//   3. promote:  reserved with that ticket -> live, already charged.
// Positions are ordered by address, which is the same order in every process.
// Why it holds: assume that two reservations of one key were both promoted. The later one was settled after
// both existed, so its settler met the earlier one. If that was live, the settler withdrew. If it was
// reserved, one of the two was emptied, and its promotion then fails because no ticket comes twice. Progress:
// the lowest position wins.
// A reservation that a dead process left, and that no process wants, is overwritten once it is old
// (kStaleTickets).
//
// Victims: an empty entry, or one at rest (its state equals "never seen", so forgetting it loses nothing). It
// is taken from the home bucket while fewer than six entries there owe something, otherwise from the bucket
// where the fewest do. Only if all forty owe something, and if the policy says so, the entry nearest to rest
// is evicted. An entry is never evicted by age: a flood could push out its own debts.
// With 75 % of all entries owing something, under constant change and a flood of one-shot users, no insertion
// in 4 million met forty debtors (simulated; from the share of full buckets: 1e-13 for 2 entries per user,
// 3e-12 for 4, 1e-9 for 8). With two buckets common to all entries of a user, one insertion in eight fails
// there: the entries of one user crowd the same two.
//
// Forgetting and late clocks. A process that evicts judges "at rest" by its own clock. A process that inserts
// the same user again may have read the clock long before (because it was stopped in between), and would find
// a full bucket too early. So the evicting process first raises `forgotten`, the latest time at which any
// user was forgotten, and an absent user is treated as one who came to rest at that time.
//
// Ordering  sync(settle): each of two settlers first exchanges its own entry and then loads the other's tag
//           in is_of(). All four accesses are sequentially consistent, so at least one of the two sees the
//           other.
//           sync(entry): see bucket.hpp. `forgotten` is relaxed: the exchange that gives the entry away
//           publishes it, and an inserter has met that exchange before it reads `forgotten`. tests/models
//           proves this.
// Bounds    every index is computed from the key and the private geometry. A damaged entry can only be a
//           wrong user's state, and an entry whose limit does not exist counts as at rest.

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
#include "users/bucket.hpp"

namespace weir::detail {

/// Counters of a table, on a cache line of their own; they are written on insertion and when the table is
/// full.
struct alignas(kCacheLine) UserTableCounters {
  Word tickets;    ///< insertions begun
  Word forgotten;  ///< latest time, in ticks, at which an entry at rest was given to another user
  Word evicted;    ///< users forgotten although they owed something
  Word refused;    ///< requests refused because there was no entry
  Word unlimited;  ///< requests admitted uncharged because there was no entry
};

/// Where a user's entries lie and what they are tagged with.
struct UserKey {
  std::size_t home;        ///< bucket
  std::uint64_t tag_hash;  ///< the tag without its limit
};

/// The debt of an entry that must not be forgotten.
inline constexpr std::uint64_t kPinned = std::numeric_limits<std::uint64_t>::max();

/// A change of one user's state under one limit. All calls are repeated after every lost race.
template <class T>
concept UserChange = requires(T change, UserLimit limit, std::uint64_t word) {
  /// The state after the change; nullopt declines it, and nothing is written.
  { change.next(word) } -> std::convertible_to<std::optional<std::uint64_t>>;
  /// The state of an absent user, who came to rest at `word` ticks or earlier.
  { change.never_seen(word) } -> std::same_as<std::uint64_t>;
  /// What an entry of `limit` owes; 0 means at rest, kPinned means that it is never a victim.
  { change.debt(limit, word) } -> std::same_as<std::uint64_t>;
  /// The current time, in ticks.
  { change.now } -> std::convertible_to<std::uint64_t>;
  /// Whether a user who owes something may be forgotten to make room for this one.
  { change.may_evict } -> std::convertible_to<bool>;
  // A change may also have has_evicted(), which is called after such a user was forgotten.
};

class UserTable {
 public:
  using Found = FoundEntry;

  enum class Outcome : std::uint8_t {
    changed,
    declined,  ///< the change declined; nothing was written
    full,      ///< there is no entry that may be taken
  };

  UserTable() = default;
  UserTable(std::span<UserBucket> buckets, UserTableCounters* counters) noexcept
      : buckets_(buckets), counters_(counters) {}

  /// The number of buckets needed for `entries` entries.
  [[nodiscard]] static std::uint64_t buckets_for(std::uint64_t entries) noexcept {
    return std::max<std::uint64_t>(2, (entries + UserBucket::kEntries - 1) / UserBucket::kEntries);
  }

  /// The key of a user. Entries beyond the first few get another home bucket, by their `group`. A limit
  /// starts a new group after every `kPartsTogether` of its parts.
  [[nodiscard]] UserKey key(Hash128 hash, std::uint32_t group = 0) const noexcept {
    return key(buckets_, hash, group);
  }
  [[nodiscard]] static UserKey key(std::span<const UserBucket> buckets, Hash128 hash,
                                   std::uint32_t group = 0) noexcept {
    constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;  // spreads the groups of one user
    return {scaled(hash.low + group * kOdd, buckets.size()), tag_hash(hash)};
  }
  static constexpr std::uint32_t kPartsTogether = 4;

  /// The part of a user's hash that its entries carry.
  [[nodiscard]] static std::uint64_t tag_hash(Hash128 hash) noexcept {
    return hash.high & user_tag::kHashMask;
  }
  static constexpr unsigned kHashBits = user_tag::kHashBits;

  /// Fetches the key's home bucket into the cache, for writing.
  void prefetch(const UserKey& key) const noexcept {
    const UserBucket& home = buckets_[key.home];
    __builtin_prefetch(&home.entries[0], 1);
    __builtin_prefetch(&home.entries[UserBucket::kEntries / 2], 1);
  }

  /// Finds the entry of (key, limit). It only loads.
  [[nodiscard]] Found find(const UserKey& key, UserLimit limit) const noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    const Found at_home = buckets_[key.home].find(tag);
    return at_home.entry != nullptr ? at_home : find_elsewhere(key, tag);
  }

  /// The state of (key, limit), for a process that only reads; nothing if it is absent.
  [[nodiscard]] static std::optional<std::uint64_t> look_up(std::span<const UserBucket> buckets,
                                                            const UserKey& key, UserLimit limit) noexcept;

  /// Changes an entry that a look found, if it has not changed since. @return false if it has, or if the look
  /// found nothing.
  static bool exchange(const Found& met, std::uint64_t next) noexcept {
    return met.entry != nullptr && met.entry->replace({met.tag, met.state}, {met.tag, next});
  }

  /// The number of an entry of this table, for a hint: in a table of more than 64 GB not all of them have one.
  static constexpr std::uint32_t kNoEntry = std::numeric_limits<std::uint32_t>::max();
  [[nodiscard]] std::uint32_t number_of(const PairWord* entry) const noexcept {
    return entry != nullptr ? static_cast<std::uint32_t>(entry - entries()) : kNoEntry;
  }
  /// @return nullptr if the table does not have the entry.
  [[nodiscard]] PairWord* entry_at(std::uint32_t number) const noexcept {
    return number < capacity() ? entries() + number : nullptr;
  }
  /// What a look would find if nothing happened to an entry since its state was written there.
  [[nodiscard]] Found as_it_was(std::uint32_t number, Hash128 user, UserLimit limit,
                                std::uint64_t state) const noexcept {
    return {entry_at(number), tag_of({0, tag_hash(user)}, limit), state};
  }

  /// Changes the state of (key, limit), inserting it if it is absent.
  template <UserChange Change>
  [[gnu::noinline]] Outcome update(const UserKey& key, UserLimit limit, const Change& change) noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    Found live = find(key, limit);
    for (;;) {
      const Attempt attempt =
          live.entry != nullptr ? change_live(tag, live, change) : enter(key, tag, live, change);
      if (attempt != Attempt::lost) return static_cast<Outcome>(attempt);
      if (live.entry == nullptr) live = find(key, limit);
    }
  }

  /// Changes the state of (key, limit) if it has an entry. @return whether it was changed.
  /// @param hint  an entry that held it recently, or nullptr.
  template <class Step>
  bool modify(const UserKey& key, UserLimit limit, PairWord* hint, Step&& step) noexcept {
    const std::uint64_t tag = tag_of(key, limit);
    const bool still_there = hint != nullptr && hint->load_first(std::memory_order_acquire) == tag;
    Found live =
        still_there ? Found{hint, tag, hint->load_second(std::memory_order_acquire)} : find(key, limit);
    while (live.entry != nullptr) {
      const std::optional<std::uint64_t> next = step(live.state);
      if (!next) return false;
      Pair seen{tag, live.state};
      if (live.entry->compare_exchange(seen, {tag, *next})) return true;
      live = seen.first == tag ? Found{live.entry, tag, seen.second} : find(key, limit);
    }
    return false;
  }

  /// Changes live entries in a part of a table, wherever they are. step: (UserLimit, uint64_t state) ->
  /// optional<uint64_t>.
  /// @return how many were changed.
  template <class Step>
  static std::uint64_t modify_all(std::span<UserBucket> part, Step&& step) noexcept {
    std::uint64_t changed = 0;
    for (UserBucket& bucket : part) {
      for (PairWord& entry : bucket.entries) changed += modify_entry(entry, step) ? 1 : 0;
    }
    return changed;
  }

  /// Calls visit(UserLimit, uint64_t state), or visit(UserLimit, uint64_t state, uint64_t tag_hash), for
  /// every live entry of a part of a table. It only loads.
  template <class Visit>
  static void for_each(std::span<const UserBucket> part, Visit&& visit) noexcept {
    for (const UserBucket& bucket : part) {
      for (const PairWord& entry : bucket.entries) {
        const Pair seen = UserBucket::look(entry);
        if (!user_tag::is_live(seen.first)) continue;
        if constexpr (std::invocable<Visit&, UserLimit, std::uint64_t, std::uint64_t>) {
          visit(user_tag::limit_of(seen.first), seen.second, seen.first & user_tag::kHashMask);
        } else {
          visit(user_tag::limit_of(seen.first), seen.second);
        }
      }
    }
  }

  [[nodiscard]] std::uint64_t capacity() const noexcept { return buckets_.size() * UserBucket::kEntries; }
  [[nodiscard]] UserTableCounters& counters() const noexcept { return *counters_; }

 private:
  static constexpr std::size_t kChoices = 5;
  /// A bucket with up to this many entries that owe something is as good as any; with more, it is crowded.
  static constexpr std::size_t kComfortable = 5;
  /// A reservation this many insertions old was left by a dead process (or by one so slow that it will try
  /// again).
  static constexpr std::uint64_t kStaleTickets = 4096;

  enum class Attempt : std::uint8_t {
    done = static_cast<int>(Outcome::changed),
    declined = static_cast<int>(Outcome::declined),
    full = static_cast<int>(Outcome::full),
    lost,  ///< another process changed it first: look again
  };

  /// An entry that an insertion may take. Rank 0: empty; 1: at rest; above: owes rank - 1; kPinned: must not
  /// be taken.
  static constexpr std::uint64_t kAtRest = 1;
  struct Victim {
    PairWord* entry = nullptr;
    Pair seen;
    std::uint64_t rank = kPinned;
  };

  /// What one pass over all buckets found.
  struct Survey {
    Found live{};
    PairWord* reserved = nullptr;  ///< the lowest reservation of this key
    std::uint64_t ticket = 0;
    Victim victim;
  };

  /// The buckets in which an entry may lie, home bucket first; in a small table these are all buckets.
  template <class Bucket>
  struct BasicRoute {
    std::array<Bucket*, kChoices> buckets;
    std::size_t count;
    [[nodiscard]] auto begin() const noexcept { return buckets.begin(); }
    [[nodiscard]] auto end() const noexcept { return buckets.begin() + count; }
  };
  using Route = BasicRoute<UserBucket>;

  static std::uint64_t tag_of(const UserKey& key, UserLimit limit) noexcept {
    return user_tag::of(limit, key.tag_hash);
  }
  template <class Bucket>
  [[nodiscard]] static BasicRoute<Bucket> route_over(std::span<Bucket> buckets, const UserKey& key,
                                                     std::uint64_t tag) noexcept;
  [[nodiscard]] Route route_of(const UserKey& key, std::uint64_t tag) const noexcept;

  [[nodiscard]] Found find_elsewhere(const UserKey& key, std::uint64_t tag) const noexcept;

  /// Whether an entry belongs to this key, live or reserved.
  static bool is_of(const PairWord& entry, std::uint64_t tag) noexcept {
    // sync(settle): seq_cst; pairs with the exchange by which another process reserved its own entry.
    return (entry.load_first(std::memory_order_seq_cst) & ~user_tag::kReserved) == tag;
  }

  /// Tries once to change an entry that was seen live. @param live  if the try is lost, set to the entry as
  /// it is now, or {}.
  template <class Change>
  static Attempt change_live(std::uint64_t tag, Found& live, const Change& change) noexcept {
    const std::optional<std::uint64_t> next = change.next(live.state);
    if (!next) return Attempt::declined;
    Pair seen{tag, live.state};
    if (live.entry->compare_exchange(seen, {tag, *next})) return Attempt::done;
    live = seen.first == tag ? Found{live.entry, tag, seen.second} : Found{};
    return Attempt::lost;
  }

  /// Inserts a key for a caller that has looked and found nothing.
  /// @param live  set to where the key is after all; the result is then `lost`.
  template <class Change>
  Attempt enter(const UserKey& key, std::uint64_t tag, Found& live, const Change& change) noexcept {
    const Route route = route_of(key, tag);
    const Survey survey = look_around(route, tag, change);
    live = survey.live;
    return live.entry != nullptr ? Attempt::lost : insert(route, tag, survey, change);
  }

  template <class Change>
  Survey look_around(const Route& route, std::uint64_t tag, const Change& change) const noexcept {
    Survey survey;
    std::size_t best = kNothingFree;
    for (UserBucket* bucket : route) {
      const bool choosing = best > 2 * kComfortable;  // otherwise no better one can follow
      Victim victim;
      std::size_t owing = 0;
      for (PairWord& entry : bucket->entries) {
        if (!choosing && !is_of(entry, tag)) continue;
        const Pair seen = UserBucket::look(entry);
        if (seen.first == tag) {
          survey.live = {&entry, tag, seen.second};
          return survey;
        }
        if (seen.first == (tag | user_tag::kReserved)) note_reservation(survey, entry, seen.second);
        if (!choosing) continue;
        const std::uint64_t rank = rank_of(seen, change);
        if (rank > kAtRest) ++owing;
        if (rank < victim.rank) victim = {&entry, seen, rank};
      }
      if (!choosing) continue;
      const std::size_t score = score_of(victim, owing);
      if (score < best || (best == kNothingFree && victim.rank < survey.victim.rank)) survey.victim = victim;
      best = std::min(best, score);
    }
    return survey;
  }

  /// How good a bucket is for a new entry; less is better. First comes how many entries owe something there,
  /// then whether an entry is empty (so that no entry at rest is forgotten while there are empty ones).
  static std::size_t score_of(const Victim& victim, std::size_t owing) noexcept {
    if (victim.rank > kAtRest) return kNothingFree;
    return 2 * std::max(owing, kComfortable) + (victim.rank == kAtRest ? 1 : 0);
  }
  static constexpr std::size_t kNothingFree = std::numeric_limits<std::size_t>::max();

  static void note_reservation(Survey& survey, PairWord& entry, std::uint64_t ticket) noexcept {
    if (survey.reserved == nullptr || &entry < survey.reserved)
      survey.reserved = &entry, survey.ticket = ticket;
  }

  template <class Change>
  std::uint64_t rank_of(Pair seen, const Change& change) const noexcept {
    if (seen.first == 0) return 0;
    if (!user_tag::is_live(seen.first)) return is_stale(seen.second) ? kAtRest : kPinned;
    const std::uint64_t debt = change.debt(user_tag::limit_of(seen.first), seen.second);
    return debt == kPinned ? kPinned : debt + 1;
  }

  template <class Change>
  Attempt insert(const Route& route, std::uint64_t tag, const Survey& survey, const Change& change) noexcept {
    if (!first_state(change)) return Attempt::declined;  // declines before anything is written
    if (survey.reserved != nullptr) return settle(route, tag, *survey.reserved, survey.ticket, change);
    const Victim& victim = survey.victim;
    if (victim.rank == kPinned || (victim.rank > kAtRest && !change.may_evict)) return Attempt::full;
    if (victim.rank > 0) raise_forgotten(change.now);
    const std::uint64_t ticket = counters_->tickets.fetch_add(1, std::memory_order_relaxed) + 1;
    Pair seen = victim.seen;
    if (!victim.entry->compare_exchange(seen, {tag | user_tag::kReserved, ticket})) return Attempt::lost;
    // crash here: this leaves a reservation, and the next process that wants the key completes it.
    if (victim.rank > kAtRest) {
      counters_->evicted.fetch_add(1, std::memory_order_relaxed);
      if constexpr (requires { change.has_evicted(); }) change.has_evicted();
    }
    return settle(route, tag, *victim.entry, ticket, change);
  }

  /// Steps 2 and 3 of an insertion, for the reservation in `own`, whichever process made it.
  template <class Change>
  Attempt settle(const Route& route, std::uint64_t tag, PairWord& own, std::uint64_t ticket,
                 const Change& change) noexcept {
    const Pair reservation{tag | user_tag::kReserved, ticket};
    for (UserBucket* bucket : route) {
      for (PairWord& other : bucket->entries) {
        if (&other == &own || !is_of(other, tag)) continue;
        if (!yields_to(other, tag, &own < &other)) return withdraw(own, reservation);
      }
    }
    // This comes last: a process that forgot this user did so before the reservation, so `forgotten` has its
    // time.
    const std::optional<std::uint64_t> state = first_state(change);
    if (!state) {
      withdraw(own, reservation);
      return Attempt::declined;
    }
    Pair seen = reservation;
    return own.compare_exchange(seen, {tag, *state}) ? Attempt::done : Attempt::lost;
  }

  template <class Change>
  std::optional<std::uint64_t> first_state(const Change& change) const noexcept {
    // relaxed: the tags of all entries were loaded before, and the exchange that evicted this user comes
    // after the raise of `forgotten`.
    return change.next(change.never_seen(counters_->forgotten.load(std::memory_order_relaxed)));
  }

  template <class Step>
  static bool modify_entry(PairWord& entry, Step& step) noexcept {
    Pair seen = UserBucket::look(entry);
    while (user_tag::is_live(seen.first)) {
      const std::optional<std::uint64_t> next = step(user_tag::limit_of(seen.first), seen.second);
      if (!next) return false;
      if (entry.compare_exchange(seen, {seen.first, *next})) return true;
    }
    return false;
  }

  /// Whether `other` leaves the key to a reservation elsewhere; a reservation at a higher position is
  /// emptied.
  static bool yields_to(PairWord& other, std::uint64_t tag, bool other_is_higher) noexcept;
  static Attempt withdraw(PairWord& own, Pair reservation) noexcept;
  void raise_forgotten(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_stale(std::uint64_t ticket) const noexcept;

  /// All entries, bucket by bucket.
  [[nodiscard]] PairWord* entries() const noexcept {
    static_assert(sizeof(UserBucket) == UserBucket::kEntries * sizeof(PairWord));
    return reinterpret_cast<PairWord*>(buckets_.data());
  }

  std::span<UserBucket> buckets_;
  UserTableCounters* counters_ = nullptr;
};

}  // namespace weir::detail

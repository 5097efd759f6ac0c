#include "users/table.hpp"

namespace weir::detail {

UserKey UserTable::key(Hash128 hash, std::uint32_t group) const noexcept {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;  // spreads the groups of one user
  hash.low += group * kOdd;
  // Multiply and shift maps 32 bits evenly onto any number of buckets; the second bucket is never the first.
  const std::uint64_t buckets = buckets_.size();
  const std::uint64_t first = ((hash.low >> 32) * buckets) >> 32;
  const std::uint64_t step = 1 + (((hash.low & 0xffff'ffff) * (buckets - 1)) >> 32);
  const std::uint64_t second = first + step;
  return {{first, second < buckets ? second : second - buckets}, hash.high & kHashMask};
}

void UserTable::prefetch(const UserKey& key) const noexcept {
  for (const std::size_t bucket : key.buckets) {
    __builtin_prefetch(&buckets_[bucket].entries[0], 1);
    __builtin_prefetch(&buckets_[bucket].entries[4], 1);
  }
}

Pair UserTable::look(const PairWord& entry) noexcept {
  for (;;) {
    const std::uint64_t tag = entry.load_first(std::memory_order_acquire);
    if (tag == 0) return {};
    const std::uint64_t state = entry.load_second(std::memory_order_acquire);
    if (entry.load_first(std::memory_order_relaxed) == tag) return {tag, state};
  }
}

bool UserTable::yields_to(PairWord& other, std::uint64_t tag, bool other_is_higher) noexcept {
  const Pair seen = look(other);
  if (seen.first == tag) return false;
  if (seen.first != (tag | kReserved)) return true;
  Pair expected = seen;
  return other_is_higher && other.compare_exchange(expected, {});
}

UserTable::Attempt UserTable::withdraw(PairWord& own, Pair reservation) noexcept {
  Pair expected = reservation;
  // A failure means that somebody else has settled it: as good.
  [[maybe_unused]] const bool emptied = own.compare_exchange(expected, {});
  return Attempt::lost;
}

void UserTable::raise_forgotten(std::uint64_t now) noexcept {
  std::uint64_t forgotten = counters_->forgotten.load(std::memory_order_relaxed);
  while (forgotten < now &&
         !counters_->forgotten.compare_exchange(forgotten, now, std::memory_order_release)) {
  }
}

bool UserTable::is_stale(std::uint64_t ticket) const noexcept {
  return counters_->tickets.load(std::memory_order_relaxed) - ticket > kStaleTickets;
}

std::size_t UserTable::place_of(const UserKey& key, const PairWord* entry) const noexcept {
  const auto* first = &place(key, 0);
  const bool in_first = entry >= first && entry < first + UserBucket::kEntries;
  return in_first
             ? static_cast<std::size_t>(entry - first)
             : UserBucket::kEntries + static_cast<std::size_t>(entry - &place(key, UserBucket::kEntries));
}

}  // namespace weir::detail

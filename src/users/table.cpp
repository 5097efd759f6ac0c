// SPDX-License-Identifier: Apache-2.0
#include "users/table.hpp"

namespace weir::detail {

template <class Bucket>
UserTable::BasicRoute<Bucket> UserTable::route_over(std::span<Bucket> buckets, const UserKey& key,
                                                    std::uint64_t tag) noexcept {
  constexpr std::uint64_t kOdd = 0xd6e8'feb8'6659'fd93;
  const std::uint64_t count = buckets.size();
  // The buckets lie at equal distances from the home bucket; the tag determines the distance.
  const std::uint64_t step = count <= kChoices ? 1 : 1 + scaled(tag * kOdd, count - 1);
  BasicRoute<Bucket> route{.buckets = {}, .count = std::min<std::size_t>(count, kChoices)};
  std::uint64_t at = key.home;
  for (Bucket*& bucket : route.buckets) {
    bucket = &buckets[at];
    at = at + step < count ? at + step : at + step - count;
  }
  return route;
}

UserTable::Route UserTable::route_of(const UserKey& key, std::uint64_t tag) const noexcept {
  return route_over(buckets_, key, tag);
}

std::optional<std::uint64_t> UserTable::look_up(std::span<const UserBucket> buckets, const UserKey& key,
                                                UserLimit limit) noexcept {
  const std::uint64_t tag = tag_of(key, limit);
  for (const UserBucket* bucket : route_over(buckets, key, tag)) {
    for (const PairWord& entry : bucket->entries) {
      if (const Pair seen = UserBucket::look(entry); seen.first == tag) return seen.second;
    }
  }
  return std::nullopt;
}

namespace {

void prefetch_to_read(const UserBucket& bucket) noexcept {
  __builtin_prefetch(&bucket.entries[0]);
  __builtin_prefetch(&bucket.entries[UserBucket::kEntries / 2]);
}

}  // namespace

UserTable::Found UserTable::find_elsewhere(const UserKey& key, std::uint64_t tag) const noexcept {
  const Route route = route_of(key, tag);
  // The home bucket, which comes first, has been searched.
  const std::span<UserBucket* const> others(route.begin() + 1, route.end());
  // A user missing from its home bucket is usually new, so all others will be searched. Prefetch them together: the
  // latency of one cache miss instead of four.
  for (const UserBucket* bucket : others) prefetch_to_read(*bucket);
  for (UserBucket* const bucket : others) {
    if (const Found found = bucket->find(tag); found.entry != nullptr) return found;
  }
  return {};
}

bool UserTable::yields_to(PairWord& other, std::uint64_t tag, bool other_is_higher) noexcept {
  const Pair seen = UserBucket::look(other);
  if (seen.first == tag) return false;
  if (seen.first != (tag | user_tag::kReserved)) return true;
  Pair expected = seen;
  return other_is_higher && other.compare_exchange(expected, {});
}

UserTable::Attempt UserTable::withdraw(PairWord& own, Pair reservation) noexcept {
  Pair expected = reservation;
  // If this fails, another process has settled it, which is just as good.
  [[maybe_unused]] const bool emptied = own.compare_exchange(expected, {});
  return Attempt::lost;
}

void UserTable::raise_forgotten(std::uint64_t now) noexcept {
  std::uint64_t forgotten = counters_->forgotten.load(std::memory_order_relaxed);
  // relaxed: the caller's next exchange of an entry publishes it.
  while (forgotten < now &&
         !counters_->forgotten.compare_exchange(forgotten, now, std::memory_order_relaxed)) {
  }
}

bool UserTable::is_stale(std::uint64_t ticket) const noexcept {
  return counters_->tickets.load(std::memory_order_relaxed) - ticket > kStaleTickets;
}

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A few permits of one user: up to four owners packed into the state word of the user's entry.
//
// Each owner has 16 bits: slot + 1 in twelve, and the low four bits of the tenant's generation. The set is a
// bag: equal owners are alike, so giving one back need not remember which of them it was. The functions are
// pure; the compare-exchange of the entry makes each of them atomic.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "base/owner.hpp"

namespace weir::detail::owner_set {

inline constexpr std::uint32_t kPermitsPerSet = 4;

/// Number of sets needed to hold `permits` permits.
[[nodiscard]] constexpr std::uint32_t parts_for(std::uint64_t permits) noexcept {
  return static_cast<std::uint32_t>((permits + kPermitsPerSet - 1) / kPermitsPerSet);
}

/// How many of `permits` permits lie in set `i`, if each set is filled before the next.
[[nodiscard]] constexpr std::uint32_t permits_in(std::uint32_t i, std::uint32_t permits) noexcept {
  const std::uint32_t before = i * kPermitsPerSet;
  return permits > before ? std::min(kPermitsPerSet, permits - before) : 0;
}

using PackedOwner = std::uint16_t;  ///< 0: free

inline constexpr unsigned kGenerationBits = 4;
/// How many tenants of a slot a packed owner tells apart. workers/tenancy.hpp makes sure that no more of them
/// are met at any time.
inline constexpr std::uint32_t kGenerations = 1U << kGenerationBits;

[[nodiscard]] constexpr PackedOwner pack(Owner owner) noexcept {
  return static_cast<PackedOwner>((owner.slot() + 1) << kGenerationBits | owner.generation() % kGenerations);
}
[[nodiscard]] constexpr std::uint32_t slot_of(PackedOwner owner) noexcept {
  return (std::uint32_t{owner} >> kGenerationBits) - 1;
}
[[nodiscard]] constexpr std::uint32_t generation_of(PackedOwner owner) noexcept {
  return owner % kGenerations;
}

[[nodiscard]] constexpr PackedOwner at(std::uint64_t set, std::uint32_t i) noexcept {
  return static_cast<PackedOwner>(set >> (16 * i));
}
[[nodiscard]] constexpr std::uint64_t with(std::uint64_t set, std::uint32_t i, PackedOwner owner) noexcept {
  return (set & ~(std::uint64_t{0xffff} << (16 * i))) | std::uint64_t{owner} << (16 * i);
}

// The highest bit of each owner that is not 0, computed for all four at once.
[[nodiscard]] constexpr std::uint64_t taken(std::uint64_t set) noexcept {
  constexpr std::uint64_t kLow = 0x7fff'7fff'7fff'7fff;
  return (((set & kLow) + kLow) | set) & ~kLow;
}
inline constexpr std::uint64_t kEach = 0x0001'0001'0001'0001;

[[nodiscard]] constexpr std::uint32_t count(std::uint64_t set) noexcept {
  if (set == 0) return 0;                                               // most users hold no permit
  return static_cast<std::uint32_t>((taken(set) >> 15) * kEach >> 48);  // the sum of the four
}

/// The set with one more owner; nullopt if `capacity` of the four are taken.
[[nodiscard]] constexpr std::optional<std::uint64_t> add(std::uint64_t set, PackedOwner owner,
                                                         std::uint32_t capacity) noexcept {
  if (set == 0 && capacity != 0) return owner;  // most users hold no permit
  if (count(set) >= std::min(capacity, kPermitsPerSet)) return std::nullopt;
  const auto highest_bit = static_cast<std::uint32_t>(std::countr_zero(~taken(set) & kEach << 15));
  return set | std::uint64_t{owner} << (highest_bit - 15);
}

/// The set without one of this owner's permits; nullopt if it has none.
[[nodiscard]] constexpr std::optional<std::uint64_t> remove(std::uint64_t set, PackedOwner owner) noexcept {
  const std::uint64_t matching = ~taken(set ^ kEach * owner) & kEach << 15;
  if (matching == 0) return std::nullopt;
  const auto highest_bit = static_cast<std::uint32_t>(std::countr_zero(matching));
  return set & ~(std::uint64_t{0xffff} << (highest_bit - 15));
}

/// How many permits of a user may be taken if they lie in several sets, so that no more than `limit` are in
/// use; they lie in the first sets. It is less than `limit` only after the limit was lowered while more were
/// in use. As with prefix() in permits.hpp, permits are only taken below some such number, and those beyond
/// it only come back.
/// @param counts  permits in use in each set, in order.
[[nodiscard]] constexpr std::uint32_t usable(std::span<const std::uint32_t> counts,
                                             std::uint32_t limit) noexcept {
  const auto beyond = [&](std::uint32_t usable) {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < counts.size(); ++i) {
      const std::uint32_t room = permits_in(i, usable);
      sum += counts[i] > room ? counts[i] - room : 0;
    }
    return sum;
  };
  std::uint32_t usable = limit;
  while (usable > 0 && usable + beyond(usable) > limit) --usable;
  return usable;
}

/// The set without the owners that are gone.
template <class Gone>
[[nodiscard]] constexpr std::uint64_t without(std::uint64_t set, Gone&& gone) noexcept {
  for (std::uint32_t i = 0; i < kPermitsPerSet; ++i) {
    if (at(set, i) != 0 && gone(at(set, i))) set = with(set, i, 0);
  }
  return set;
}

}  // namespace weir::detail::owner_set

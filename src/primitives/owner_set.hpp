#pragma once

// A few permits of one user: up to four owners packed into the state word of the user's entry.
//
// Four places of 16 bits: slot + 1 in twelve, the low four bits of the tenant's generation. The places are a
// bag: equal owners are alike, so giving one back needs no memory of which place it was. Pure functions; the
// entry's compare-exchange makes each of them atomic.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "base/owner.hpp"

namespace weir::detail::owner_set {

inline constexpr std::uint32_t kPlaces = 4;

/// Sets that so many permits take.
[[nodiscard]] constexpr std::uint32_t parts_for(std::uint64_t permits) noexcept {
  return static_cast<std::uint32_t>((permits + kPlaces - 1) / kPlaces);
}

/// Of `permits`, how many fit into set `i`: the sets before it are filled first.
[[nodiscard]] constexpr std::uint32_t places_in(std::uint32_t i, std::uint32_t permits) noexcept {
  const std::uint32_t before = i * kPlaces;
  return permits > before ? std::min(kPlaces, permits - before) : 0;
}

using Place = std::uint16_t;  ///< 0: free

inline constexpr unsigned kGenerationBits = 4;
/// Tenants of a slot that a place tells apart; workers/tenancy.hpp keeps no more of them apart at any time.
inline constexpr std::uint32_t kGenerations = 1U << kGenerationBits;

[[nodiscard]] constexpr Place place_of(Owner owner) noexcept {
  return static_cast<Place>((owner.slot() + 1) << kGenerationBits | owner.generation() % kGenerations);
}
[[nodiscard]] constexpr std::uint32_t slot_of(Place place) noexcept {
  return (std::uint32_t{place} >> kGenerationBits) - 1;
}
[[nodiscard]] constexpr std::uint32_t generation_of(Place place) noexcept {
  return place % kGenerations;
}

[[nodiscard]] constexpr Place at(std::uint64_t set, std::uint32_t i) noexcept {
  return static_cast<Place>(set >> (16 * i));
}
[[nodiscard]] constexpr std::uint64_t with(std::uint64_t set, std::uint32_t i, Place place) noexcept {
  return (set & ~(std::uint64_t{0xffff} << (16 * i))) | std::uint64_t{place} << (16 * i);
}

// All places at once: the highest bit of each, where it is taken.
[[nodiscard]] constexpr std::uint64_t taken(std::uint64_t set) noexcept {
  constexpr std::uint64_t kLow = 0x7fff'7fff'7fff'7fff;
  return (((set & kLow) + kLow) | set) & ~kLow;
}
inline constexpr std::uint64_t kEach = 0x0001'0001'0001'0001;

[[nodiscard]] constexpr std::uint32_t count(std::uint64_t set) noexcept {
  return static_cast<std::uint32_t>((taken(set) >> 15) * kEach >> 48);  // the sum of the four
}

/// The set with one more owner; nullopt if `capacity` places (of the four) are taken.
[[nodiscard]] constexpr std::optional<std::uint64_t> add(std::uint64_t set, Place owner,
                                                         std::uint32_t capacity) noexcept {
  if (count(set) >= std::min(capacity, kPlaces)) return std::nullopt;
  const auto highest_bit = static_cast<std::uint32_t>(std::countr_zero(~taken(set) & kEach << 15));
  return set | std::uint64_t{owner} << (highest_bit - 15);
}

/// The set without one of that owner's permits; nullopt if it has none.
[[nodiscard]] constexpr std::optional<std::uint64_t> remove(std::uint64_t set, Place owner) noexcept {
  const std::uint64_t his = ~taken(set ^ kEach * owner) & kEach << 15;
  if (his == 0) return std::nullopt;
  const auto highest_bit = static_cast<std::uint32_t>(std::countr_zero(his));
  return set & ~(std::uint64_t{0xffff} << (highest_bit - 15));
}

/// How many permits of a user may be taken where they lie in several sets, so that no more than `limit` are
/// in use: the first sets up to that number. Less than `limit` only after it was lowered, while more are in
/// use. As prefix() in permits.hpp: whoever takes keeps to some such number, what lies beyond it only comes
/// back.
/// @param counts  of the sets, in order.
[[nodiscard]] constexpr std::uint32_t usable(std::span<const std::uint32_t> counts,
                                             std::uint32_t limit) noexcept {
  const auto beyond = [&](std::uint32_t usable) {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < counts.size(); ++i) {
      const std::uint32_t room = places_in(i, usable);
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
  for (std::uint32_t i = 0; i < kPlaces; ++i) {
    if (at(set, i) != 0 && gone(at(set, i))) set = with(set, i, 0);
  }
  return set;
}

}  // namespace weir::detail::owner_set

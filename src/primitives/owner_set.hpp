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

#include "base/owner.hpp"

namespace weir::detail::owner_set {

inline constexpr std::uint32_t kPlaces = 4;

/// Sets that so many permits take.
[[nodiscard]] constexpr std::uint32_t parts_for(std::uint64_t permits) noexcept {
  return static_cast<std::uint32_t>((permits + kPlaces - 1) / kPlaces);
}

using Place = std::uint16_t;  ///< 0: free

[[nodiscard]] constexpr Place place_of(Owner owner) noexcept {
  return static_cast<Place>((owner.slot() + 1) << 4 | (owner.generation() & 0xf));
}
[[nodiscard]] constexpr std::uint32_t slot_of(Place place) noexcept {
  return (std::uint32_t{place} >> 4) - 1;
}
[[nodiscard]] constexpr std::uint32_t generation_of(Place place) noexcept {
  return place & 0xfU;
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

/// The set without the owners that are gone.
template <class Gone>
[[nodiscard]] constexpr std::uint64_t without(std::uint64_t set, Gone&& gone) noexcept {
  for (std::uint32_t i = 0; i < kPlaces; ++i) {
    if (at(set, i) != 0 && gone(at(set, i))) set = with(set, i, 0);
  }
  return set;
}

}  // namespace weir::detail::owner_set

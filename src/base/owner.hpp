// SPDX-License-Identifier: Apache-2.0
#pragma once

// The owner of a permit: a worker slot and the generation of its tenant, small enough to be stored in the
// permit itself.

#include <cstdint>

namespace weir::detail {

inline constexpr std::uint32_t kMaxWorkers = 4'095;

/// 20 bits: slot + 1 in twelve bits, the tenant's generation in eight. 0 means that there is no owner.
class Owner {
 public:
  constexpr Owner() = default;
  constexpr Owner(std::uint32_t slot, std::uint64_t generation) noexcept
      : bits_((slot + 1) << 8 | static_cast<std::uint32_t>(generation & 0xff)) {}

  [[nodiscard]] static constexpr Owner from_bits(std::uint64_t bits) noexcept {
    Owner owner;
    owner.bits_ = static_cast<std::uint32_t>(bits & 0xf'ffff);
    return owner;
  }
  /// For bits that only this process can have written: it does not check that they are 20.
  [[nodiscard]] static constexpr Owner from_own_bits(std::uint32_t bits) noexcept {
    Owner owner;
    owner.bits_ = bits;
    return owner;
  }
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return (bits_ >> 8) != 0; }
  [[nodiscard]] constexpr std::uint32_t slot() const noexcept { return (bits_ >> 8) - 1; }
  [[nodiscard]] constexpr std::uint32_t generation() const noexcept { return bits_ & 0xff; }

  friend constexpr bool operator==(Owner, Owner) = default;

 private:
  std::uint32_t bits_ = 0;
};

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace weir::detail {

struct Hash128 {
  std::uint64_t low;
  std::uint64_t high;
};

/// A 64-bit hash of some bytes without a secret, for checksums and fingerprints.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes) noexcept;

/// Maps 64 random bits evenly onto 0 to count - 1.
[[nodiscard]] inline std::uint64_t scaled(std::uint64_t random, std::uint64_t count) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(random) * count >> 64);
}

/// XXH3, keyed by the secret of a segment: without the secret an attacker cannot choose keys that collide.
class KeyHasher {
 public:
  explicit KeyHasher(std::array<std::uint64_t, 2> secret) noexcept;

  [[nodiscard]] [[gnu::always_inline]] Hash128 operator()(std::string_view key) const noexcept {
    if (key.size() >= 4 && key.size() <= 8) return hash_4_to_8(key);
    if (key.size() >= 9 && key.size() <= 16) return hash_9_to_16(key);
    return hash_any(key);
  }

 private:
  // XXH3 of a short key, written out. Nearly every name of a user is that short, and the call alone would cost as
  // much as the hash. A test compares the three.
  [[nodiscard]] [[gnu::always_inline]] Hash128 hash_4_to_8(std::string_view key) const noexcept {
    const std::uint64_t bits = load<std::uint32_t>(key.data()) |
                               std::uint64_t{load<std::uint32_t>(key.data() + key.size() - 4)} << 32;
    Hash128 hash = product(bits ^ secret_word(2) ^ secret_word(3), kPrime1 + 4 * key.size());
    hash.high += 2 * hash.low;
    hash.low ^= hash.high >> 3;
    hash.low = (hash.low ^ hash.low >> 35) * 0x9fb2'1c65'1e98'df25;
    return {hash.low ^ hash.low >> 28, avalanche(hash.high)};
  }
  [[nodiscard]] Hash128 hash_9_to_16(std::string_view key) const noexcept {
    const auto first = load<std::uint64_t>(key.data());
    const auto last = load<std::uint64_t>(key.data() + key.size() - 8);
    Hash128 mixed = product(first ^ last ^ secret_word(4) ^ secret_word(5), kPrime1);
    mixed.low += std::uint64_t{key.size() - 1} << 54;
    const std::uint64_t keyed = last ^ secret_word(6) ^ secret_word(7);
    mixed.high += keyed + (keyed & 0xffff'ffff) * (0x85eb'ca77 - 1);
    mixed.low ^= __builtin_bswap64(mixed.high);
    Hash128 hash = product(mixed.low, kPrime2);
    hash.high += mixed.high * kPrime2;
    return {avalanche(hash.low), avalanche(hash.high)};
  }
  [[nodiscard]] Hash128 hash_any(std::string_view key) const noexcept;

  static constexpr std::uint64_t kPrime1 = 0x9e37'79b1'85eb'ca87;
  static constexpr std::uint64_t kPrime2 = 0xc2b2'ae3d'27d4'eb4f;

  template <class Number>
  static Number load(const void* bytes) noexcept {
    Number number;
    std::memcpy(&number, bytes, sizeof number);
    return number;
  }
  [[nodiscard]] std::uint64_t secret_word(std::size_t i) const noexcept {
    return load<std::uint64_t>(&expanded_[i * sizeof(std::uint64_t)]);
  }
  static Hash128 product(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide wide = static_cast<Wide>(a) * b;
    return {static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64)};
  }
  static std::uint64_t avalanche(std::uint64_t hash) noexcept {
    hash = (hash ^ hash >> 37) * 0x1656'6791'9e37'79f9;
    return hash ^ hash >> 32;
  }

  alignas(64) std::array<unsigned char, 192> expanded_;  // the secret, expanded to the size that XXH3 needs
};

}  // namespace weir::detail

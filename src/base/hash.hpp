#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::detail {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

/// A 64-bit hash of some bytes without a secret, for checksums and fingerprints.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes) noexcept;

/// Maps 64 random bits evenly onto 0 to count - 1.
[[nodiscard]] inline std::uint64_t scaled(std::uint64_t random, std::uint64_t count) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(random) * count >> 64);
}

/// XXH3, keyed by the secret of a segment: without the secret nobody can choose keys that collide.
class KeyHasher {
 public:
  explicit KeyHasher(std::array<std::uint64_t, 2> secret) noexcept;

  [[nodiscard]] Hash128 operator()(std::string_view key) const noexcept;

 private:
  alignas(64) std::array<unsigned char, 192> expanded_;  // the secret, expanded to the size that XXH3 needs
};

}  // namespace weir::detail

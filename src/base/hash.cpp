// SPDX-License-Identifier: Apache-2.0
#define XXH_INLINE_ALL
#include "base/hash.hpp"

#include <xxhash.h>

namespace weir::detail {

std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

KeyHasher::KeyHasher(std::array<std::uint64_t, 2> secret) noexcept {
  static_assert(sizeof(expanded_) >= XXH3_SECRET_SIZE_MIN);
  XXH3_generateSecret(expanded_.data(), expanded_.size(), secret.data(), sizeof(secret));
}

Hash128 KeyHasher::hash_any(std::string_view key) const noexcept {
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(key.data(), key.size(), expanded_.data(), expanded_.size());
  return {hash.low64, hash.high64};
}

}  // namespace weir::detail

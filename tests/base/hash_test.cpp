// SPDX-License-Identifier: Apache-2.0
#define XXH_INLINE_ALL
#include "base/hash.hpp"

#include <array>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <xxhash.h>

namespace weir::detail {
namespace {

TEST(KeyHasher, DependsOnEveryByteAndOnTheSecret) {
  const KeyHasher one({1, 2});
  const KeyHasher other({1, 3});
  std::set<std::uint64_t> seen;
  for (const std::string& key : {std::string(), std::string("a"), std::string("a\0", 2),
                                 std::string(65'536, 'x'), std::string(65'535, 'x')}) {
    EXPECT_TRUE(seen.insert(one(key).high).second) << key.size();
    EXPECT_TRUE(seen.insert(other(key).high).second) << key.size();
    EXPECT_EQ(one(key).low, KeyHasher({1, 2})(key).low);
  }
}

// Short keys are hashed by code of our own; segments of other versions were filled by the library's.
TEST(KeyHasher, IsXxhashWithTheSecretForKeysOfEveryLength) {
  const std::array<std::uint64_t, 2> seed{0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3210};
  std::array<unsigned char, 192> secret{};
  XXH3_generateSecret(secret.data(), secret.size(), seed.data(), sizeof seed);
  const KeyHasher hasher(seed);
  std::string key;
  for (std::size_t length = 0; length <= 300; ++length) {
    const XXH128_hash_t expected =
        XXH3_128bits_withSecret(key.data(), key.size(), secret.data(), secret.size());
    EXPECT_EQ(hasher(key).low, expected.low64) << length;
    EXPECT_EQ(hasher(key).high, expected.high64) << length;
    key += static_cast<char>(0x80 + 37 * length);  // bytes above 127, too
  }
}

}  // namespace
}  // namespace weir::detail

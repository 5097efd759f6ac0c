#include "base/hash.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

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

}  // namespace
}  // namespace weir::detail

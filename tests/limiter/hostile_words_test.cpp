// SPDX-License-Identifier: Apache-2.0

// A segment with words that no worker of ours would write. tests/fuzz/segment_fuzz.hpp writes any bytes while calls
// run.

#include <gtest/gtest.h>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace detail;

TEST(HostileWords, ALimitThatIsEnforcedAndOnlyCountsIsEnforcedOnce) {
  const test::SegmentName name;
  const std::string both =
      "concurrent = { limit = 10, candidate = 5 }\nuser.concurrent = { limit = 10, candidate = 5 }\n";
  const auto config =
      parse_config("[segment]\nname = \"" + name.str() + "\"\nusers = 100\nworkers = 4\n[global]\n" + both +
                       "[operations.work]\n" + both +
                       "[overrides.users.alice]\nconcurrent = { limit = 10, candidate = 5 }\n",
                   "test");
  ASSERT_TRUE(config) << config.error().message();
  auto limiter = Limiter::open(*config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const auto segment = Segment::attach(name.str(), OpenMode::read_write, kAbiFingerprint);
  ASSERT_TRUE(segment);
  const auto sections = Sections::of(*segment);
  ASSERT_TRUE(sections);
  for (Block& block : sections->blocks) {
    const std::uint64_t present = block.present.load(std::memory_order_relaxed);
    const std::uint64_t lines = (present | present >> kBlockLimits) & ~std::uint32_t{0};
    block.present.store(lines | lines << kBlockLimits, std::memory_order_relaxed);
  }
  for (const char* user : {"alice", "bob"}) {
    Admission admission = limiter->admit("work", {.user = user});
    EXPECT_TRUE(admission) << user;
    EXPECT_FALSE(limiter->admit("work", {.user = user, .weight = 6})) << "a candidate of 5 is enforced now";
  }
}

}  // namespace
}  // namespace weir

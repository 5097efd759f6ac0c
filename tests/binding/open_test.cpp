// SPDX-License-Identifier: Apache-2.0

// What opening a limiter does: it creates the segment or attaches to it, or says why it cannot.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string_view>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/fork.hpp"
#include "support/namespace.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using test::in_child;
using test::SegmentName;
using ::testing::HasSubstr;

Config config_of_batch() {
  auto config = parse_config("[operations.batch]\nrate = \"10/min burst 2\"\n", "test.toml");
  EXPECT_TRUE(config) << config.error().message();
  return *config;
}

TEST(OpenedLimiter, IsSharedByAllWhoOpenTheSegment) {
  const SegmentName name;
  Config config = config_of_batch();
  config.segment.name = name.str();
  auto first = Limiter::open(config);
  ASSERT_TRUE(first) << first.error().message();
  auto second = Limiter::open(config);
  auto third = Limiter::attach(name.str());
  ASSERT_TRUE(second && third);
  EXPECT_TRUE(first->admit("batch"));
  EXPECT_TRUE(second->admit("batch"));
  EXPECT_FALSE(third->admit("batch"));
  EXPECT_EQ(third->config().operations, config.operations);
}

// An operator may have changed the limits live: a worker that restarts must neither bring the old limits back nor fail
// to start.
TEST(OpenedLimiter, OpensARunningSegmentWithTheLimitsThatAreInForce) {
  const SegmentName name;
  Config config = config_of_batch();
  config.segment.name = name.str();
  const auto first = Limiter::open(config);
  ASSERT_TRUE(first);
  config.operations["batch"].shared.rates[0].burst = 5;
  const auto second = Limiter::open(config);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->config().operations, first->config().operations);
}

TEST(OpenedLimiter, TouchesNothingForABadConfiguration) {
  const SegmentName name;
  Config config = config_of_batch();
  config.segment.name = name.str();
  config.operations["batch"].shared.rates[0].burst = 0;
  const auto limiter = Limiter::open(config);
  ASSERT_FALSE(limiter);
  EXPECT_EQ(limiter.error().code, Errc::config);
  EXPECT_THAT(limiter.error().what, HasSubstr("operations.batch.rate"));
  EXPECT_EQ(Limiter::attach(name.str()).error().code, Errc::not_found);
}

TEST(OpenedLimiter, SaysWhenSharedMemoryIsFull) {
  const int result = in_child([] {
    if (!test::own_shared_memory("size=1M")) return 77;
    Config config = config_of_batch();
    config.segment.users = 1'000'000;
    const auto limiter = Limiter::open(config);
    return !limiter && limiter.error().code == Errc::no_space ? 0 : 1;
  });
  if (result == 77) GTEST_SKIP() << "this host allows no mount namespace";
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace weir

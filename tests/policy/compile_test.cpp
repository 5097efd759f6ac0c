// SPDX-License-Identifier: Apache-2.0
#include "policy/compile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weir/limiter.hpp"

#include "policy/params.hpp"
#include "policy/schema.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using namespace detail;  // NOLINT(google-build-using-namespace)
using test::SegmentName;

Config everything() {
  Config config;
  config.segment.users = 100;
  config.segment.when_full = TableFull::refuse;
  config.global.shared.rates = {{2000, 1s, 500}};
  config.global.user.rates = {{5, 1s, 5}};
  config.global.queue = {1024, 1h, QueueOrder::lifo, {1, 2, 3, 10}, true};
  OperationPolicy& a = config.operations["a"];
  a.shared.rates = {
      {30, 1min, 10}, {60, 1min, 10, Mode::candidate}, {500, 1h, 500}, {9, 1s, 9, Mode::shadow}};
  a.shared.windows = {{100, 1min, WindowKind::log}, {1'000'000, 24h, WindowKind::ring}};
  a.shared.concurrent = 20;
  a.shared.concurrent.candidate = 30;
  a.shared.cooldown = {5min, 3};
  a.user.rates = {{10, 1min, 3}};
  a.user.windows = {{100, 1h, WindowKind::weighted}};
  a.user.concurrent = 3;
  a.queue.seats = 3;
  config.operations["b"].queue.timeout = 30s;  // for when it gets seats
  config.users["root"].exempt = true;
  config.users["big"].limits.rates = {{100, 1s, 100}};
  return config;
}

TEST(Policy, SaysTheConfigurationThatItWasCompiledFrom) {
  const SegmentName name;
  Config config = everything();
  config.segment.name = name.str();
  const auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const Config back = limiter->config();
  EXPECT_EQ(back.segment, config.segment);
  EXPECT_EQ(back.global, config.global);
  EXPECT_EQ(back.operations, config.operations);
  EXPECT_EQ(back.users, config.users);
}

TEST(Presence, KnowsNoLineInTheBitsOfARetiredBlock) {
  EXPECT_TRUE(Presence::of_retired().retired());
  EXPECT_EQ(Presence::of_retired().any(), 0U);
  for (std::uint32_t index = 0; index < kBlockLimits; ++index)
    EXPECT_FALSE(Presence::of_retired().has(index));
}

TEST(Presence, OfAnyWordEachLineIsEnforcedOrOnlyCounts) {
  const Presence damaged(~std::uint64_t{0});
  EXPECT_EQ(damaged.enforced() & damaged.counting(), 0U);
  EXPECT_EQ(damaged.any(), damaged.enforced());
  EXPECT_FALSE(damaged.has(kBlockLimits - 1)) << "its bit says that the block is retired";
  EXPECT_TRUE(damaged.has(kQueue));
  EXPECT_FALSE(Presence(~std::uint64_t{0} << kBlockLimits).has(kQueue)) << "a queue never only counts";
  Presence both;
  both.add(3, Mode::enforced);
  both.add(kScopeLimits + 2, Mode::candidate);
  EXPECT_EQ(both.enforced(), LimitMask{1} << 3);
  EXPECT_EQ(both.counting(), LimitMask{1} << (kScopeLimits + 2));
  EXPECT_TRUE(both.has(3) && both.has(kScopeLimits + 2) && !both.has(4));
}

TEST(Policy, NamesEveryLimitByItsPlaceInTheConfiguration) {
  const auto limiter = Limiter::open_private(everything());
  ASSERT_TRUE(limiter) << limiter.error().message();
  const auto name_of = [&](std::uint32_t block, std::uint32_t index) {
    return limiter->limit_name(LimitRef{block, index}.id());
  };
  EXPECT_EQ(name_of(kGlobalBlock, kFirstRate), "global.rate");
  EXPECT_EQ(name_of(kGlobalBlock, kScopeLimits + kFirstRate), "global.user.rate");
  EXPECT_EQ(name_of(kFirstOperation, kFirstRate), "operations.a.rate[0]");
  EXPECT_EQ(name_of(kFirstOperation, kFirstRate + 1), "operations.a.rate[0].candidate");
  EXPECT_EQ(name_of(kFirstOperation, kFirstRate + 2), "operations.a.rate[1]");
  EXPECT_EQ(name_of(kFirstOperation, kFirstWindow + 1), "operations.a.window[1]");
  EXPECT_EQ(name_of(kFirstOperation, kPermits), "operations.a.concurrent");
  EXPECT_EQ(name_of(kFirstOperation, kQueue), "operations.a.queue");
  EXPECT_EQ(name_of(kFirstOperation, kScopeLimits + kPermits), "operations.a.user.concurrent");
  EXPECT_EQ(name_of(kFirstOverride, kScopeLimits + kFirstRate), "overrides.users.\"big\".rate");
  EXPECT_EQ(limiter->limit_name(LimitId::none), "");
  EXPECT_EQ(limiter->limit_name(LimitId{65535}), "");
}

TEST(Policy, ATableHasRoomForMoreLimitsOfUsersWhereThatIsCheap) {
  Config config;
  config.operations["a"].user.rates = {{10, 1min, 3}};
  config.segment.users = 100'000;
  EXPECT_EQ(entries_made_for(config), 4U);
  config.segment.users = 20'000'000;
  EXPECT_EQ(entries_made_for(config), 1U) << "1.2 GiB more for limits that nobody asked for";
  config.segment.limits_per_user = 2;
  EXPECT_EQ(entries_made_for(config), 2U);
  config.segment.limits_per_user = 0;
  config.operations["a"].user.windows = {{100, 1h, WindowKind::weighted}};
  EXPECT_EQ(entries_made_for(config), 2U);
}

TEST(Policy, PacksARateIntoAWordWithinItsError) {
  for (const Rate& rate :
       {Rate{1, 24h, 1}, Rate{30, 1min, 10}, Rate{500, 1h, 500}, Rate{1, 3s, 4'000'000'000},
        Rate{99'999, 1s, 5}, Rate{10'000'000, 1s, 1}, Rate{1, 24h * 200, 1}, Rate{7, 1'234'567'891ns, 5}}) {
    const std::uint64_t exact = emission_interval(rate);
    const TokenBucketParams params = packed::to_token_bucket(packed::rate(rate));
    EXPECT_EQ(params.burst, rate.burst);
    EXPECT_GE(params.emission_interval, exact) << "never faster than asked for";
    EXPECT_LE(static_cast<double>(params.emission_interval - exact), 6e-11 * static_cast<double>(exact));
  }
}

TEST(Policy, PacksARateThatIsNoWholeNumberOfTicksWithoutLoss) {
  for (const Rate& rate : {Rate{3, 1s, 3}, Rate{7, 1min, 10}, Rate{7, 3s, 4'000'000'000}, Rate{977, 1h, 1},
                           Rate{8'191, 1s, 9}, Rate{30'000, 1s, 100}, Rate{11, 24h * 365, 2}}) {
    const TokenBucketParams params = packed::to_token_bucket(packed::rate(rate));
    EXPECT_EQ(params.burst, rate.burst);
    ASSERT_TRUE(params.is_split()) << rate.count;
    const SplitTicks split(params.parts);
    EXPECT_EQ(split.times(params.emission_interval, static_cast<std::uint32_t>(rate.count)),
              ticks_from_ns(static_cast<std::uint64_t>(rate.period.count())))
        << rate.count;
  }
}

TEST(Policy, PacksWindowsAndCooldownsWithoutLoss) {
  const packed::WindowParams window{kMaxWindowLimit, WindowKind::weighted, kMaxWindowMs};
  const packed::WindowParams back = packed::to_window(packed::window(window));
  EXPECT_EQ(back.limit, window.limit);
  EXPECT_EQ(back.kind, window.kind);
  EXPECT_EQ(back.length_ms, window.length_ms);
  const packed::CooldownParams cooldown = packed::to_cooldown(packed::cooldown({255, kMaxWindowMs}));
  EXPECT_EQ(cooldown.refusals, 255U);
  EXPECT_EQ(cooldown.length_ms, kMaxWindowMs);
}

TEST(Policy, PacksAQueueWithoutLossAndUnpacksAnyWordToOne) {
  for (const Queue& queue : {Queue{}, Queue{1024, 1h, QueueOrder::lifo, {16, 0, 0, 0}, true},
                             Queue{1, 1ms, QueueOrder::fifo, {1, 2, 3, 4}, false}})
    EXPECT_EQ(packed::to_queue(packed::queue(queue)), queue);
  for (const std::uint64_t word : {0ULL, ~0ULL, 0x5555555555555555ULL, 0xaaaaaaaaaaaaaaaaULL}) {
    Config config;
    config.global.queue = packed::to_queue(word);
    EXPECT_TRUE(validate(config)) << word;
  }
}

}  // namespace
}  // namespace weir

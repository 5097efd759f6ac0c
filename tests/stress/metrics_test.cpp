// SPDX-License-Identifier: Apache-2.0

// Counters under SIGKILL: whichever worker is killed or replaced, no sum falls, and what ended is what was admitted, less what was
// lost.

#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "support/chaos.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

TEST(MetricsSoak, NoSumFallsUnderTwoThousandKills) {
  const test::SegmentName name;
  auto config = parse_config(
      "[segment]\nworkers = 8\n[operations.a]\nrate = '10000000/s burst 10000000'\n"
      "[operations.b]\nconcurrent = 64\n",
      "test");
  ASSERT_TRUE(config) << config.error().message();
  config->segment.name = name.str();
  auto parent = Limiter::open(*config);
  ASSERT_TRUE(parent) << parent.error().message();

  using Sums = std::array<std::uint64_t, 5>;
  std::array<Sums, 2> before{};
  const auto look = [&] {
    const auto snapshot = take_snapshot(name.str());
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    ASSERT_EQ(snapshot->operations.size(), before.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      const OperationStatus& seen = snapshot->operations[i];
      const Sums now{seen.admitted, seen.succeeded, seen.failed, seen.timed, seen.within.back()};
      for (std::size_t k = 0; k < now.size(); ++k)
        EXPECT_GE(now[k], before[i][k]) << seen.name << ", sum " << k;
      before[i] = now;
    }
  };
  test::ChaosOptions options;
  options.workers = 4;
  options.kills = 2'000;
  options.stop_share = 0.1;
  options.after_kill = [&](int /*worker*/) { look(); };
  const test::ChaosReport report = run_chaos(options, [&](int worker, const std::atomic<bool>& stop) {
    auto limiter = Limiter::open(*config);
    ASSERT_TRUE(limiter) << limiter.error().message();
    const Operation a = *limiter->operation("a");
    const Operation b = *limiter->operation("b");
    for (int i = worker; !stop; ++i) {
      Admission admission = limiter->admit(i % 2 == 0 ? a : b);
      if (i % 3 == 0) {
        admission.fail();
      } else {
        admission.succeed();
      }
    }
  });
  EXPECT_TRUE(report.ok()) << report;
  parent->reap();
  look();
  const auto last = take_snapshot(name.str());
  ASSERT_TRUE(last) << last.error().message();
  std::uint64_t lost = 0;
  for (const OperationStatus& seen : last->operations) {
    EXPECT_EQ(seen.in_flight, 0U) << seen.name;
    lost += seen.lost;
    EXPECT_EQ(seen.succeeded + seen.failed + seen.ignored + seen.lost, seen.admitted) << seen.name;
  }
  EXPECT_LE(lost, 2'000U) << "a worker has one call at a time";
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(last->unrecorded, 0U);
  std::printf("%d kills; %zu calls lost\n", report.kills, static_cast<std::size_t>(lost));
}

}  // namespace
}  // namespace weir

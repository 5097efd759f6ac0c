// SPDX-License-Identifier: Apache-2.0

// Random kills while several processes spend under every kind of limit: the charges equal the admissions,
// except for the one request in flight of each killed worker, and no limit is ever exceeded.

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/chaos.hpp"
#include "support/segment_name.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

constexpr int kWorkers = 4;

struct Told {
  std::array<std::atomic<std::uint64_t>, kWorkers> admitted;
};

TEST(ChargeSums, EqualTheAdmissionsExceptForTheRequestsOfKilledWorkers) {
  const SegmentName name;
  const auto parsed = parse_config(R"(
[segment]
users = 100
[global]
rate = "1/min burst 200000"
[operations.work]
rate = { limit = "1/min burst 200000", candidate = "1/min burst 100" }
window = [{ limit = "60000 per 1d", kind = "log" }, { limit = "5000000 per 1d", kind = "ring" }]
concurrent = 3
breaker = { failures = 60000, recovery = "1s" }
[operations.work.user]
rate = "1/min burst 200000"
window = "1000000 per 1d"
concurrent = 2
)",
                                   "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  Config config = *parsed;
  config.segment.name = name.str();
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const SharedObject<Told> told;
  const Operation work = *limiter->operation("work");
  const ChaosReport report = run_chaos({.workers = kWorkers, .kills = 150, .seed = 7},
                                       [&](int worker, const std::atomic<bool>& stop) {
                                         while (!stop) {
                                           Admission admission = limiter->admit(work, {.user = "alice"});
                                           // The charge is recorded at once; a kill before that counts as a
                                           // request in flight.
                                           if (admission)
                                             told->admitted[static_cast<std::size_t>(worker)].fetch_add(1);
                                           if (admission) admission.succeed();
                                         }
                                       });
  EXPECT_TRUE(report.ok()) << report;
  std::uint64_t admitted = 0;
  for (const auto& count : told->admitted) admitted += count;
  const auto kills = static_cast<std::uint64_t>(report.kills);
  EXPECT_GT(admitted, 1'000U);
  for (const Quota& quota : limiter->quotas(work, {.user = "alice"})) {
    const std::uint64_t charged = quota.quota - quota.remaining;
    if (quota.remaining == 0) continue;              // used up: it says nothing
    EXPECT_GE(charged + 1, admitted) << quota.name;  // a token may have been earned meanwhile
    EXPECT_LE(charged, admitted + kills) << quota.name;
  }
  limiter->reap();
  std::vector<Admission> held;
  for (const char* const user : {"bob", "carol", "dave"})
    held.push_back(limiter->admit(work, {.user = user}));
  for (const Admission& admission : held) {
    EXPECT_TRUE(admission || admission.verdict() == Verdict::throttled) << "all permits are back";
  }
}

}  // namespace
}  // namespace weir::test

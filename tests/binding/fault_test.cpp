// SPDX-License-Identifier: Apache-2.0

// What a limiter does without its segment, and that it goes back to it.

#include <atomic>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/log.hpp"

#include "support/namespace.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;

std::atomic<int> logged{0};

class LimiterFault : public ::testing::Test {
 protected:
  LimiterFault() {
    logged = 0;
    set_log([](std::string_view) { ++logged; });
  }
  ~LimiterFault() override { set_log(nullptr); }

  Config config(OnFault on_fault) {
    Config config = *parse_config("[operations.work]\nrate = \"1/day burst 8\"\nconcurrent = 100\n", "test");
    config.segment.name = name.str();
    config.segment.on_fault = on_fault;
    config.segment.local_workers = 4;
    return config;
  }
  // Puts a file that is not a segment under the segment's name.
  void occupy() { std::ofstream(name.path()) << "not a segment"; }
  void make_room() { ::unlink(name.path().c_str()); }

  SegmentName name;
};

int admitted(Limiter& limiter, int asked) {
  int count = 0;
  for (int i = 0; i < asked; ++i) count += limiter.admit("work") ? 1 : 0;
  return count;
}

// Asks until the limiter has looked again: it does so once a second.
template <class Done>
bool soon(Limiter& limiter, Done&& done) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!done() && std::chrono::steady_clock::now() < end) {
    (void)limiter.admit("work");
    ::usleep(10'000);
  }
  return done();
}

TEST_F(LimiterFault, FailsClosedByDefault) {
  occupy();
  const auto limiter = Limiter::open(config(OnFault::refuse));
  ASSERT_FALSE(limiter);
  EXPECT_EQ(limiter.error().code, Errc::foreign);
}

TEST_F(LimiterFault, AdmitsEverythingIfThePolicySaysSoAndSaysItAloud) {
  occupy();
  auto limiter = Limiter::open(config(OnFault::admit));
  ASSERT_TRUE(limiter);
  EXPECT_EQ(admitted(*limiter, 50), 50);
  ASSERT_TRUE(limiter->fault());
  EXPECT_EQ(limiter->fault()->code, Errc::foreign);
  EXPECT_EQ(logged, 1);
}

TEST_F(LimiterFault, KeepsItsShareOfTheLimitsAloneUntilTheSegmentIsBack) {
  occupy();
  auto limiter = Limiter::open(config(OnFault::local));
  ASSERT_TRUE(limiter);
  const Operation work = *limiter->operation("work");
  EXPECT_EQ(admitted(*limiter, 50), 2) << "8 over 4 workers";
  make_room();
  EXPECT_TRUE(soon(*limiter, [&] { return !limiter->fault(); }));
  EXPECT_TRUE(limiter->admit(work)) << "the handle is good for the new segment too";
  EXPECT_TRUE(Limiter::attach(name.str()));
}

// Of its share of a rate a process could not lease as much as of the whole.
TEST_F(LimiterFault, KeepsItsShareOfARateThatProcessesLease) {
  occupy();
  Config shared = config(OnFault::local);
  shared.operations["work"].shared.rates = {Rate{1'000, 1s, 6'400, Mode::enforced, 5}};
  auto limiter = Limiter::open(shared);
  ASSERT_TRUE(limiter) << limiter.error().message();
  EXPECT_TRUE(limiter->fault());
  EXPECT_GE(admitted(*limiter, 5'000), 6'400 / 4);
}

// As many requests of this process may wait as in the segment: a share of it would refuse them for no reason.
TEST_F(LimiterFault, KeepsItsQueuesWhole) {
  occupy();
  Config queued = config(OnFault::local);
  const Queue queue{7, 5s, QueueOrder::lifo, {1, 2, 3, 4}, true};
  queued.global.queue = queued.operations["work"].queue = queue;
  auto limiter = Limiter::open(queued);
  ASSERT_TRUE(limiter) << limiter.error().message();
  EXPECT_TRUE(limiter->fault());
  const Config alone = limiter->config();
  EXPECT_EQ(alone.operations.at("work").shared.concurrent.limit, 25U);
  EXPECT_EQ(alone.operations.at("work").queue, queue);
  EXPECT_EQ(alone.global.queue, queue);
}

TEST_F(LimiterFault, MovesToASegmentThatReplacedItsOwn) {
  auto limiter = Limiter::open(config(OnFault::refuse));
  ASSERT_TRUE(limiter);
  const Operation work = *limiter->operation("work");
  Admission held = limiter->admit(work);
  EXPECT_EQ(admitted(*limiter, 50), 7);
  ASSERT_TRUE(remove_segment(name.str()));
  Config other = config(OnFault::refuse);
  other.operations["another"].shared.rates = {{1, 24h, 1}};  // so that "work" lies in another block
  auto second = Limiter::open(other);
  ASSERT_TRUE(second);
  EXPECT_TRUE(soon(*limiter, [&] { return limiter->config().operations.contains("another"); }));
  EXPECT_EQ(limiter->peek(work).verdict, second->peek(*second->operation("work")).verdict);
  held.release();  // what the old segment admitted goes back there
  EXPECT_TRUE(limiter->admit("another"));
  EXPECT_FALSE(second->admit("another")) << "both decide over the same segment now";
}

TEST_F(LimiterFault, OfAProcessWithoutASlotEndsInASegmentThatHasOne) {
  Config config = this->config(OnFault::refuse);
  config.segment.workers = 1;
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter);
  EXPECT_EQ(test::in_child([&] {
              if (limiter->admit("work") || !limiter->fault()) return 1;
              if (limiter->fault()->code != Errc::no_space) return 2;
              config.segment.workers = 2;
              if (!remove_segment(config.segment.name)) return 3;
              const auto roomy = Limiter::open(config);
              if (!roomy) return 4;
              if (!limiter->admit("work")) return 5;  // it has moved, and has a slot there
              return limiter->fault() ? 6 : 0;
            }),
            0);
}

// No sweep would find the permit of a process without a slot.
TEST_F(LimiterFault, TakesNoPermitThatOnlyCountsForAProcessWithoutASlot) {
  Config config = *parse_config(
      "[segment]\nworkers = 1\nusers = 10\n"
      "[operations.work]\nconcurrent = { limit = 2, shadow = true }\n"
      "user.concurrent = { limit = 2, shadow = true }\n",
      "test");
  config.segment.name = name.str();
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const Admission of_alice = limiter->admit("work", {.user = "alice"});
  ASSERT_TRUE(of_alice);
  EXPECT_EQ(test::in_child([&] {
              const Admission admission = limiter->admit("work", {.user = "alice"});
              const auto snapshot = take_snapshot(name.str());
              if (!admission || !limiter->fault() || !snapshot || snapshot->limits.size() != 2) return 1;
              for (const LimitStatus& limit : snapshot->limits) {
                if (limit.used != 1 || limit.would_refuse != 1) return 2;
              }
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace weir

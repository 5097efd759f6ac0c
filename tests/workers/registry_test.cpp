// SPDX-License-Identifier: Apache-2.0
#include "workers/registry.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/fork.hpp"
#include "support/worker_process.hpp"
#include "workers/eight_workers.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::WorkerProcess;

TEST_F(Workers, AreKnownFromTheirFirstJoinOn) {
  EXPECT_FALSE(registry.self());
  join();
  ASSERT_TRUE(registry.self());
  EXPECT_EQ(registry.self()->slot, 0U);
  EXPECT_EQ(registry.identity(0).pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_FALSE(dead(0));
  join();
  EXPECT_EQ(published(), 1U) << "a second join changes nothing";
}

TEST_F(Workers, AForkedChildStartsWithoutAnIdentityAndClaimsItsOwn) {
  join();
  const Identity parent = *registry.self();
  EXPECT_EQ(in_child([&] {
              if (registry.self() || registry.was_self(parent.owner())) return 1;
              const auto own = registry.join(1);
              return own && own->slot != parent.slot ? 0 : 2;
            }),
            0);
  EXPECT_EQ(registry.self(), parent);
  EXPECT_FALSE(dead(parent.slot));
  EXPECT_TRUE(dead(1)) << "the child is gone, and its slot waits for a sweep";
}

TEST_F(Workers, ARawCloneIsNoticedToo) {
  join();
  EXPECT_EQ(test::result_of(test::clone_child([&] { return registry.self() ? 1 : 0; })), 0);
}

TEST_F(Workers, ThreadsOfOneProcessShareOneSlot) {
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(in_child([&] {
                std::vector<std::thread> threads;
                std::array<std::uint32_t, 4> seen{};
                for (std::size_t i = 0; i < seen.size(); ++i) {
                  threads.emplace_back([&, i] { seen[i] = registry.join(1)->slot; });
                }
                for (std::thread& thread : threads) thread.join();
                const bool same = std::set<std::uint32_t>(seen.begin(), seen.end()).size() == 1;
                return same && published() >= 1 && !dead(seen[0]) ? 0 : 1;
              }),
              0);
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (tenant.published && dead(slot)) registry.release(slot, tenant);
    }
  }
  EXPECT_EQ(published(), 0U);
}

TEST_F(Workers, ThatWereTakenForDeadNoticeAndJoinAgain) {
  join();
  const Identity before = *registry.self();
  ASSERT_TRUE(registry.release(before.slot, registry.identity(before.slot)));
  EXPECT_FALSE(registry.self());
  EXPECT_TRUE(registry.was_self(before.owner()));
  join();
  EXPECT_NE(registry.self()->owner(), before.owner());
  EXPECT_TRUE(registry.was_self(before.owner())) << "it still knows what it held";
}

// A sweeper that is stopped may still remove an owner that it judged before, and owners in a user's permits
// tell only sixteen tenants apart.
TEST_F(Workers, CannotHaveSixteenTenantsInOneSlotDuringASweep) {
  WorkerProcess sweeper([&] {
    (void)registry.join(1);
    new Registry::Sweeping(registry);
  });
  std::array<std::uint32_t, 8> tenants{};
  const auto join_and_leave = [&] {
    Registry worker(slots_of(segment), segment);
    const auto joined = worker.join(1);
    if (joined) ++tenants[joined->slot];
    return joined;
  };
  auto joined = join_and_leave();
  while (joined) joined = join_and_leave();
  for (std::uint32_t slot = 1; slot < 8; ++slot) EXPECT_EQ(tenants[slot], 16U) << slot;
  EXPECT_EQ(joined.error().code, Errc::no_space);
  EXPECT_EQ(joined.error().message(),
            "segment \"" + name.str() + "\": no worker slot may be used again before pid " +
                std::to_string(sweeper.pid()) +
                " ends its sweep; if that process is stopped, let it go on, or end it");
  sweeper.kill();
  EXPECT_TRUE(join_and_leave()) << "a dead sweeper removes nothing more";
}

TEST_F(Workers, ThatSweepWithoutASlotCountAsSweepers) {
  const auto join_all = [&] {
    for (int i = 0; i < 8 * 16 * 2; ++i) {
      Registry worker(slots_of(segment), segment);
      if (!worker.join(1)) return false;
    }
    return true;
  };
  EXPECT_TRUE(join_all()) << "there is no sweeper";
  {
    const Registry::Sweeping said(registry);
    ASSERT_TRUE(said);
    EXPECT_FALSE(join_all());
  }
  EXPECT_TRUE(join_all());
}

TEST_F(Workers, GiveTheirSlotBackWhenTheyLeave) {
  {
    Registry second(slots_of(segment), segment);
    ASSERT_TRUE(second.join(1));
    EXPECT_EQ(published(), 1U);
  }
  EXPECT_EQ(published(), 0U);
}

TEST_F(Workers, FillTheTableAndThenGetAClearError) {
  std::vector<std::unique_ptr<Registry>> workers;
  for (std::uint32_t i = 0; i < registry.size(); ++i) {
    workers.push_back(std::make_unique<Registry>(slots_of(segment), segment));
    ASSERT_TRUE(workers.back()->join(1));
  }
  const auto refused = registry.join(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_NE(refused.error().message().find("all 8 worker slots are taken; raise segment.workers"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::detail

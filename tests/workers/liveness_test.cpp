// SPDX-License-Identifier: Apache-2.0

// Which workers count as dead, whatever their processes do.

#include <atomic>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/fork.hpp"
#include "support/worker_process.hpp"
#include "workers/eight_workers.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::Orphan;
using test::WorkerProcess;

TEST_F(Workers, AreDeadWhenKilledAndAliveWhenStopped) {
  WorkerProcess worker([&] { (void)registry.join(1); });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_FALSE(dead(slot));
  worker.signal(SIGSTOP);
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(dead(slot));
  worker.kill();
  EXPECT_TRUE(dead(slot));
}

TEST_F(Workers, AreDeadAsZombiesOfALazyParent) {
  WorkerProcess worker([&] { (void)registry.join(1); });
  const std::uint32_t slot = slot_of(worker.pid());
  worker.kill_lazily();
  EXPECT_TRUE(dead(slot));
}

TEST_F(Workers, ThatCloseAllDescriptorsAreStillAlive) {
  WorkerProcess worker([&](int ready) {
    (void)registry.join(1);
    close_all_but(ready);
    WorkerProcess::say_ready(ready);
    for (;;) ::pause();
  });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_FALSE(dead(slot)) << "its mapping keeps its lock";
  EXPECT_EQ(in_child([&] {
              rlimit none{0, 0};
              return ::setrlimit(RLIMIT_NOFILE, &none) == 0 && !dead(slot) ? 0 : 1;
            }),
            0)
      << "a process that may open nothing sees the lock, too";
  worker.kill();
  EXPECT_TRUE(dead(slot));
}

// If the page cannot be mapped, closing descriptors drops the lock, and the second evidence decides.
TEST_F(Workers, WithoutALastingLockAreStillAliveAfterClosingAllDescriptors) {
  WorkerProcess worker([&](int ready) {
    rlimit full{1, 1};  // no further mapping
    ::setrlimit(RLIMIT_AS, &full);
    (void)registry.join(1);
    close_all_but(ready);
    WorkerProcess::say_ready(ready);
    for (;;) ::pause();
  });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  ASSERT_EQ(registry.slots()[slot].lasting.load(std::memory_order_relaxed), 0U);
  EXPECT_FALSE(dead(slot)) << "its pid, start time and stack are still there";
  worker.kill();
  EXPECT_TRUE(dead(slot));
}

TEST_F(Workers, StillSeeDeadWorkersAfterTheyClosedAllDescriptors) {
  WorkerProcess worker([&] { (void)registry.join(1); });
  const std::uint32_t slot = slot_of(worker.pid());
  const auto close_all_and_look = [&] {
    (void)registry.join(1);
    close_all_but(-1);
    return dead(slot) ? 1 : 0;
  };
  EXPECT_EQ(in_child(close_all_and_look), 0);
  worker.kill();
  EXPECT_EQ(in_child(close_all_and_look), 1);
}

TEST_F(Workers, AreDeadAfterAnExecAlthoughPidStartTimeAndStackStay) {
  WorkerProcess worker([&](int ready) {
    (void)registry.join(1);
    // Without address randomisation the stack begins at the same address as before.
    slots_of(segment)[registry.self()->slot].stack.store(0, std::memory_order_relaxed);
    ::dup2(ready, 9);  // it survives the exec; the shell writes to it when it runs
    ::execl("/bin/sh", "sh", "-c", "echo x >&9; exec sleep 1000", nullptr);
  });
  ASSERT_TRUE(worker.ready());
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_TRUE(dead(slot));
}

// A host that clears close-on-exec of all descriptors leaves the lock to the program that it becomes, which is
// the one that can tell: by its stack. Another limiter of the same program has the same stack.
TEST_F(Workers, AreDeadForTheProgramThatTheyBecameAlthoughItInheritedTheirLock) {
  join();
  const std::uint32_t slot = registry.self()->slot;
  Registry next(slots_of(segment), segment);
  const SlotIdentity tenant = registry.identity(slot);
  EXPECT_FALSE(next.is_dead(slot, tenant));
  slots_of(segment)[slot].stack.store(1, std::memory_order_relaxed);
  EXPECT_TRUE(is_locked(slot));
  EXPECT_TRUE(next.is_dead(slot, tenant));
  EXPECT_FALSE(registry.is_dead(slot, tenant)) << "itself";
}

TEST_F(Workers, AParentsDeathIsNoticedWhileItsChildLives) {
  int grandchild_pipe[2];
  ASSERT_EQ(::pipe(grandchild_pipe), 0);
  WorkerProcess parent([&](int ready) {
    (void)registry.join(1);
    // It inherits the description, never joins, and outlives its parent.
    test::fork_child(
        [&] {
          WorkerProcess::say_ready(ready);
          return test::stay_until_closed(grandchild_pipe);
        },
        Orphan::lives_on);
    for (;;) ::pause();
  });
  ASSERT_TRUE(parent.ready());
  const std::uint32_t slot = slot_of(parent.pid());
  EXPECT_FALSE(dead(slot));
  parent.kill();
  EXPECT_TRUE(dead(slot));
  ::close(grandchild_pipe[0]);
  ::close(grandchild_pipe[1]);  // this ends the grandchild
}

TEST_F(Workers, ADaemonsDoubleForkLeavesOneLivingWorker) {
  join();
  int done[2];
  int hold[2];
  ASSERT_EQ(::pipe(done), 0);
  ASSERT_EQ(::pipe(hold), 0);
  EXPECT_EQ(in_child([&] {
              test::fork_child(
                  [&] {
                    (void)registry.join(1);
                    (void)!::write(done[1], "x", 1);
                    return test::stay_until_closed(hold);
                  },
                  Orphan::lives_on);
              return 0;
            }),
            0);
  char byte = 0;
  ASSERT_EQ(::read(done[0], &byte, 1), 1);
  EXPECT_EQ(published(), 2U);
  const SlotIdentity daemon = registry.identity(1);
  EXPECT_FALSE(dead(1));
  ::kill(static_cast<pid_t>(daemon.pid), SIGKILL);
  while (!dead(1)) ::sched_yield();  // it is not our child, so we look until it is dead
  for (const int fd : {done[0], done[1], hold[0], hold[1]}) ::close(fd);
}

TEST_F(Workers, OfAnotherPidNamespaceAreJudgedByTheirLock) {
  WorkerProcess outer([&](int ready) {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(0);
    test::fork_child([&]() -> int {  // pid 1 of the new namespace
      (void)registry.join(1);
      close_all_but(ready);
      WorkerProcess::say_ready(ready);
      for (;;) ::pause();
    });
    ::close(ready);
    for (;;) ::pause();
  });
  if (!outer.ready()) GTEST_SKIP() << "this host allows no PID namespace";
  const std::uint32_t slot = slot_of(1);
  ASSERT_LT(slot, 8U) << "it calls itself 1";
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(dead(slot)) << "our pid 1 is another process, and is not asked";
  outer.kill();
  while (!dead(slot)) ::sched_yield();
}

// No fork handler closes the description in a child that a raw clone made, and it never calls us.
TEST_F(Workers, AreDeadWhenTheyAreGoneAlthoughARawCloneOfThemKeepsTheirLock) {
  int hold[2];
  ASSERT_EQ(::pipe(hold), 0);
  WorkerProcess parent([&](int ready) {
    (void)registry.join(1);
    test::clone_child(
        [&] {
          ::close(ready);
          return test::stay_until_closed(hold);
        },
        Orphan::lives_on);
    WorkerProcess::say_ready(ready);
    for (;;) ::pause();
  });
  const std::uint32_t slot = slot_of(parent.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_FALSE(dead(slot));
  parent.kill();
  EXPECT_TRUE(is_locked(slot)) << "by the clone";
  EXPECT_TRUE(dead(slot));
  ::close(hold[0]);
  ::close(hold[1]);  // ends the clone
}

}  // namespace
}  // namespace weir::detail

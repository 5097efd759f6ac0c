// SPDX-License-Identifier: Apache-2.0
#include "workers/registry.hpp"

#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <set>
#include <sys/mman.h>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::Orphan;
using test::WorkerProcess;

class Workers : public ::testing::Test {
 protected:
  static constexpr SectionSpec kSections[] = {{1, sizeof(WorkerSlot), 8, false}};

  static Segment make_segment(const std::string& name) {
    return *Segment::publish({.name = name, .group = {}, .sections = kSections}, [](const Segment&) {});
  }
  static std::span<WorkerSlot> slots_of(const Segment& segment) {
    const auto bytes = segment.section(1, sizeof(WorkerSlot));
    return {reinterpret_cast<WorkerSlot*>(bytes.data()), bytes.size() / sizeof(WorkerSlot)};
  }
  bool dead(std::uint32_t slot) const { return registry.is_dead(slot, registry.identity(slot)); }
  std::uint32_t published() const {
    std::uint32_t count = 0;
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot)
      count += registry.identity(slot).published ? 1 : 0;
    return count;
  }
  // The slot that a process with this pid has published; 99: none.
  std::uint32_t slot_of(pid_t pid) const {
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (tenant.published && tenant.pid == static_cast<std::uint32_t>(pid)) return slot;
    }
    return 99;
  }
  static void close_all_but(int kept) {
    for (int fd = 3; fd < 256; ++fd) {
      if (fd != kept) ::close(fd);
    }
  }
  bool is_locked(std::uint32_t slot) const {
    struct flock byte = byte_of(slot, F_WRLCK);
    return ::fcntl(segment.file().get(), F_OFD_GETLK, &byte) == 0 && byte.l_type != F_UNLCK;
  }
  void join() { ASSERT_TRUE(registry.join(1)); }

  test::SegmentName name;
  Segment segment = make_segment(name.str());
  Registry registry{slots_of(segment), segment};
};

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

TEST_F(Workers, ThatCloseAllDescriptorsBeforeJoiningJoinByName) {
  EXPECT_EQ(in_child([&] {
              for (int fd = 3; fd < 256; ++fd) ::close(fd);
              return registry.join(1) ? 0 : 1;
            }),
            0);
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

// The usual server: the master opens the segment as root, and its workers become another user, who may not
// open it.
bool become_nobody() {
  return ::setgid(65534) == 0 && ::setuid(65534) == 0;
}

TEST_F(Workers, ThatChangedTheirUserJoinLiveAndDie) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change its user";
  join();
  WorkerProcess worker([&] { EXPECT_TRUE(become_nobody() && registry.join(1)); });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_FALSE(dead(slot));
  WorkerProcess child_of_nobody([&](int ready) {
    if (become_nobody() && registry.join(1)) {
      test::fork_child([&]() -> int {
        if (registry.join(1)) WorkerProcess::say_ready(ready);
        for (;;) ::pause();
      });
    }
    for (;;) ::pause();
  });
  ASSERT_TRUE(child_of_nobody.ready());
  EXPECT_EQ(published(), 4U) << "a child gets a slot of its own";
  worker.signal(SIGSTOP);
  EXPECT_FALSE(dead(slot));
  worker.kill();
  EXPECT_TRUE(dead(slot));
  child_of_nobody.kill();
  for (const std::uint32_t other : {2U, 3U}) {
    while (!dead(other)) ::sched_yield();  // the child dies with its parent
  }
}

TEST_F(Workers, ThatChangedTheirUserShareOneSlotAndKeepTheirLock) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change its user";
  auto second_segment = std::make_unique<Segment>(*Segment::attach(name.str(), OpenMode::read_write, 0));
  auto second = std::make_unique<Registry>(slots_of(*second_segment), *second_segment);
  WorkerProcess worker([&] {
    EXPECT_TRUE(become_nobody());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { EXPECT_TRUE(registry.join(1)); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(second->join(1));  // another limiter of the same process has a slot of its own
    second.reset();                // and closes its descriptors when it is destroyed
    second_segment.reset();
  });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_EQ(published(), 1U);
  EXPECT_TRUE(is_locked(slot));
  worker.kill();
  EXPECT_TRUE(dead(slot));
}

TEST_F(Workers, ThatCanNeitherOpenTheSegmentNorLockItAreToldWhatToDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change its user";
  EXPECT_EQ(in_child([&] {
              for (int fd = 3; fd < 256; ++fd) ::close(fd);
              if (!become_nobody()) return 1;
              const auto refused = registry.join(1);
              if (refused || refused.error().code != Errc::permission) return 2;
              return refused.error().hint.find("before it changes its user") != std::string::npos ? 0 : 3;
            }),
            0);
}

TEST_F(Workers, WithoutAFreeDescriptorJoin) {
  WorkerProcess worker([&] {
    const rlimit none{3, 3};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_TRUE(registry.join(1));
  });
  const std::uint32_t slot = slot_of(worker.pid());
  ASSERT_LT(slot, 8U);
  EXPECT_FALSE(dead(slot));
  worker.kill();
  EXPECT_TRUE(dead(slot));
}

// The number that the child's fork handler closed soon belongs to another file, here even to one of the same
// inode.
TEST_F(Workers, InAChildCloseNothingButWhatTheyInherited) {
  auto parents = std::make_unique<Registry>(slots_of(segment), segment);
  ASSERT_TRUE(parents->join(1));
  EXPECT_EQ(in_child([&] {
              std::vector<FileHandle> own;
              for (int i = 0; i < 8; ++i) own.push_back(std::move(*segment.reopen(OpenMode::read_write)));
              parents.reset();
              for (const FileHandle& file : own) {
                if (::fcntl(file.get(), F_GETFD) < 0) return 1;
              }
              return 0;
            }),
            0);
}

int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

TEST_F(Workers, MadeByARawCloneCloseWhatTheyInheritedAtTheirFirstCall) {
  const int before = open_descriptors();
  join();
  const pid_t child = test::clone_child([&] {
    const bool inherited = open_descriptors() == before + 1;
    const bool joined = static_cast<bool>(registry.join(1));
    return inherited && joined && open_descriptors() == before + 1 ? 0 : 1;
  });
  EXPECT_EQ(test::result_of(child), 0);
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

// A child must not keep its parent's lock, at whatever moment it was forked.
TEST_F(Workers, ForkedWhileAThreadJoinsKeepNoLockOfTheirParent) {
  for (int round = 0; round < 30; ++round) {
    int hold[2];
    ASSERT_EQ(::pipe(hold), 0);
    WorkerProcess parent([&](int ready) {
      std::atomic<bool> started{false};
      std::thread joiner([&] {
        started = true;
        (void)registry.join(1);
      });
      while (!started) {
      }
      // It outlives its parent, and never calls the library.
      test::fork_child(
          [&] {
            ::close(ready);
            return test::stay_until_closed(hold);
          },
          Orphan::lives_on);
      joiner.join();
      WorkerProcess::say_ready(ready);
      for (;;) ::pause();
    });
    const std::uint32_t slot = slot_of(parent.pid());
    ASSERT_LT(slot, 8U);
    parent.kill();
    // The child may not have run yet; once it runs, it drops the lock.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (is_locked(slot) && std::chrono::steady_clock::now() < end) ::sched_yield();
    EXPECT_FALSE(is_locked(slot)) << "round " << round;
    EXPECT_TRUE(registry.release(slot, registry.identity(slot)));
    ::close(hold[0]);
    ::close(hold[1]);  // this ends the child
  }
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

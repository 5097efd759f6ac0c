// SPDX-License-Identifier: Apache-2.0

// How workers get the lock of their slot in a host program that closes descriptors, forks and changes its user.

#include "workers/slot_lock.hpp"

#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "support/fork.hpp"
#include "support/worker_process.hpp"
#include "workers/eight_workers.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::Orphan;
using test::WorkerProcess;

TEST_F(Workers, ThatCloseAllDescriptorsBeforeJoiningJoinByName) {
  EXPECT_EQ(in_child([&] {
              for (int fd = 3; fd < 256; ++fd) ::close(fd);
              return registry.join(1) ? 0 : 1;
            }),
            0);
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

}  // namespace
}  // namespace weir::detail

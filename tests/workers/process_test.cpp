// SPDX-License-Identifier: Apache-2.0

// What counts as proof that a process has ended, if its lock does not tell.

#include "workers/process.hpp"

#include <array>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>

#include "support/fork.hpp"
#include "support/namespace.hpp"
#include "support/worker_process.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::WorkerProcess;

constexpr ProcessTrace kOfAnother{1, 1, 0};  // no process of ours was started when the kernel was

std::uint32_t pid_of(const WorkerProcess& process) {
  return static_cast<std::uint32_t>(process.pid());
}

TEST(Evidence, OfAnEndIsAMissingPidOrAnotherStartTimeOrStack) {
  WorkerProcess process([] {});
  const std::uint32_t pid = pid_of(process);
  EXPECT_FALSE(has_ended(pid, {}));
  EXPECT_TRUE(has_ended(pid, {1, 0, 0})) << "the pid was used again";
  EXPECT_TRUE(has_ended(pid, {0, 1, 0})) << "it runs another program";
  process.kill();
  EXPECT_TRUE(has_ended(pid, {})) << "there is no process of that pid";
}

TEST(Evidence, OfAnEndIsAZombie) {
  WorkerProcess process([] {});
  process.kill_lazily();
  EXPECT_TRUE(has_ended(pid_of(process), {}));
}

TEST(Evidence, OfAnEndIsNotAFirstThreadThatHasEnded) {
  WorkerProcess process([](int ready) {
    std::thread([ready] {
      while (::kill(::getpid(), 0) == 0) {
        std::array<char, 256> text{};
        const int fd = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
        (void)!::read(fd, text.data(), text.size() - 1);
        ::close(fd);
        if (std::string_view(text.data()).find(") Z ") != std::string_view::npos) break;
        ::sched_yield();
      }
      WorkerProcess::say_ready(ready);
      for (;;) ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // ends this thread only
  });
  ASSERT_TRUE(process.ready());
  EXPECT_FALSE(has_ended(pid_of(process), {}));
}

TEST(Evidence, IsMissingWithoutAFreeDescriptor) {
  WorkerProcess process([] {});
  EXPECT_EQ(in_child([&] {
              rlimit none{0, 0};
              ::setrlimit(RLIMIT_NOFILE, &none);
              return has_ended(pid_of(process), kOfAnother) ? 1 : 0;
            }),
            0);
}

TEST(Evidence, IsMissingWhereProcHidesTheProcess) {
  WorkerProcess process([] {});
  constexpr int kNotAllowed = 77;
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, "hidepid=2") != 0 || ::setgroups(0, nullptr) != 0 ||
        ::setgid(65534) != 0 || ::setuid(65534) != 0)
      return kNotAllowed;
    return has_ended(pid_of(process), kOfAnother) ? 1 : 0;
  });
  if (status == kNotAllowed) GTEST_SKIP() << "only root may mount a /proc that hides processes";
  EXPECT_EQ(status, 0);
}

TEST(Evidence, IsMissingWhereProcIsOfAnotherPidNamespace) {
  constexpr int kNotAllowed = 77;
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWPID) != 0) return kNotAllowed;
    return in_child([] {
      const WorkerProcess sibling([] {});  // pid 2 of the new namespace; /proc/2 is a process of the old one
      return sibling.ready() && !has_ended(pid_of(sibling), kOfAnother) ? 0 : 1;
    });
  });
  if (status == kNotAllowed) GTEST_SKIP() << "this host allows no PID namespace";
  EXPECT_EQ(status, 0);
}

// Of the PID namespace, which a process never leaves: it is remembered where /proc is gone, also by children.
TEST(PidNamespace, IsKnownWithoutProcToThoseWhoAreCertainlyInIt) {
  EXPECT_EQ(in_child([] {
              if (!test::own_mounts()) return 77;
              const std::uint64_t told = own_pid_namespace();
              if (::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0) return 77;
              if (told == 0 || own_pid_namespace() != told) return 1;
              if (in_child([=] { return own_pid_namespace() == told ? 0 : 1; }) != 0) return 2;
              if (::unshare(CLONE_NEWPID) != 0) return 77;
              return in_child([] { return own_pid_namespace() == 0 ? 0 : 1; }) == 0 ? 0 : 4;
            }) % 77,
            0);
}

TEST(PidNamespace, IsNotKnownWithoutProcToARawClone) {
  EXPECT_EQ(in_child([] {
              if (!test::own_mounts() || own_pid_namespace() == 0) return 77;
              if (::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0) return 77;
              return test::result_of(test::clone_child([] { return own_pid_namespace() == 0 ? 0 : 1; }));
            }) % 77,
            0);
}

}  // namespace
}  // namespace weir::detail

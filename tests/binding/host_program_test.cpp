// SPDX-License-Identifier: Apache-2.0

// What a host program may do around its limiter: close descriptors, fork at any moment, change its user.

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/log.hpp"

#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::in_child;
using test::SegmentName;
using test::WorkerProcess;

std::vector<std::string> logged;
std::function<void()> while_logging;

class HostProgram : public ::testing::Test {
 protected:
  HostProgram() {
    logged.clear();
    while_logging = nullptr;
    set_log([](std::string_view message) {
      logged.emplace_back(message);
      if (const auto once = std::exchange(while_logging, nullptr)) once();
    });
  }
  ~HostProgram() override { set_log(nullptr); }

  Config config(const std::string& text, OnFault on_fault = OnFault::refuse) const {
    Config config = *parse_config(text, "test");
    config.segment.name = name.str();
    config.segment.users = 16;
    config.segment.workers = 8;
    config.segment.on_fault = on_fault;
    return config;
  }
  Limiter open(const Config& wanted) const {
    auto limiter = Limiter::open(wanted);
    if (!limiter) throw std::runtime_error(limiter.error().message());
    return std::move(*limiter);
  }

  SegmentName name;
  const std::string two_at_once = "[operations.work]\nconcurrent = 2\n";
};

int admitted(Limiter& limiter, int asked) {
  std::vector<Admission> held;
  for (int i = 0; i < asked; ++i) {
    Admission admission = limiter.admit("work");
    if (admission) held.push_back(std::move(admission));
  }
  return static_cast<int>(held.size());
}

bool become_nobody() {
  return ::setgid(65534) == 0 && ::setuid(65534) == 0;
}

// The descriptors of this process that refer to a file of that name.
std::vector<int> descriptors_on(const std::string& path) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(path))
      found.push_back(std::stoi(entry.path().filename()));
  }
  return found;
}

// Bytes that this process has mapped.
rlim_t address_space() {
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(HostProgram, WithoutStandardStreamsGetsNoneOfThemForTheSegment) {
  const Config wanted = config(two_at_once);
  EXPECT_EQ(in_child([&] {
              for (int fd = 0; fd < 3; ++fd) ::close(fd);
              std::optional<Limiter> limiter = open(wanted);
              if (admitted(*limiter, 3) != 2) return 1;
              const int in_forked = in_child([&] { return admitted(*limiter, 3) == 2 ? 0 : 1; });
              if (in_forked != 0) return 2;
              const std::vector<int> ours = descriptors_on("/dev/shm/");
              if (ours.size() != 2) return 3;
              for (const int fd : ours) {
                if (fd < 3) return 4;
              }
              return ::fcntl(2, F_GETFD) < 0 ? 0 : 5;
            }),
            0);
}

TEST_F(HostProgram, ThatReplacesItsLimiterInAChildKeepsTheNewOne) {
  const Config wanted = config(two_at_once);
  std::optional<Limiter> limiter = open(wanted);
  ASSERT_EQ(admitted(*limiter, 3), 2);
  EXPECT_EQ(in_child([&] {
              Limiter fresh = open(wanted);
              *limiter = std::move(fresh);  // the inherited one goes while the new one lives
              if (admitted(*limiter, 3) != 2) return 1;
              // Two workers hold both permits and are killed: the new one finds out.
              for (int i = 0; i < 2; ++i) {
                WorkerProcess holder([&] {
                  static std::optional<Limiter> own;
                  static std::optional<Admission> held;
                  own = open(wanted);
                  held = own->admit("work");
                });
                holder.kill();
              }
              return limiter->reap().permits == 2 && admitted(*limiter, 3) == 2 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(admitted(*limiter, 3), 2) << "and the parent's is as it was";
}

TEST_F(HostProgram, KeepsItsOwnFilesWhenALimiterGoes) {
  const Config wanted = config(two_at_once);
  std::optional<Limiter> limiter = open(wanted);
  EXPECT_EQ(in_child([&] {
              limiter = open(wanted);
              const int one = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
              const int two = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
              limiter.reset();
              if (::fcntl(one, F_GETFD) < 0 || ::fcntl(two, F_GETFD) < 0) return 1;
              return descriptors_on("/dev/shm/").empty() ? 0 : 2;
            }),
            0);
  // This program closes all descriptors that it finds, and opens its own files afterwards.
  EXPECT_EQ(in_child([&] {
              for (int fd = 3; fd < 64; ++fd) ::close(fd);
              std::vector<int> own;
              for (int i = 0; i < 8; ++i) own.push_back(::open(name.path().c_str(), O_RDWR | O_CLOEXEC));
              limiter.reset();
              for (const int fd : own) {
                if (::fcntl(fd, F_GETFD) < 0) return 1;
              }
              return 0;
            }),
            0);
}

TEST_F(HostProgram, WhoseWorkersChangeTheirUserKeepsItsLimits) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  Limiter limiter = open(config(two_at_once + "[operations.work.user]\nconcurrent = 1\n"));
  {
    WorkerProcess holder([&] {
      static std::optional<Admission> held;
      EXPECT_TRUE(become_nobody());
      held = limiter.admit("work", {.user = "alice"});
      EXPECT_TRUE(*held);
    });
    EXPECT_EQ(admitted(limiter, 3), 1) << "the worker holds the other permit";
    EXPECT_FALSE(limiter.admit("work", {.user = "alice"}));
    EXPECT_EQ(limiter.reap().permits, 0U);
    EXPECT_EQ(in_child([&] { return become_nobody() && admitted(limiter, 3) == 1 ? 0 : 1; }), 0);
  }
  EXPECT_EQ(in_child([&] {
              if (!become_nobody() || !limiter.join()) return 1;
              (void)limiter.reap();
              if (admitted(limiter, 3) != 2) return 2;
              return limiter.admit("work", {.user = "alice"}) && !limiter.fault() ? 0 : 3;
            }),
            0);
}

constexpr const char* kBreaker =
    "[operations.work]\nbreaker = { failures = 1, recovery = \"50ms\" }\n[operations.other]\nconcurrent = "
    "2\n";

// Calls that pass the half-open breaker of "work" and stay in flight.
int passed_half_open(Limiter& limiter, int calls) {
  const Operation work = *limiter.operation("work");
  const auto later = HostClock::now() + 100ms;
  std::vector<Admission> in_flight;
  for (int i = 0; i < calls; ++i) {
    Admission admission = limiter.admit_at(later, work);
    if (admission) in_flight.push_back(std::move(admission));
  }
  return static_cast<int>(in_flight.size());
}

TEST_F(HostProgram, WhoseWorkersChangeTheirUserProbesOnceForAll) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  Limiter limiter = open(config(kBreaker));
  limiter.admit("work").fail();
  EXPECT_EQ(in_child([&] { return become_nobody() ? passed_half_open(limiter, 100) : 99; }), 1);
}

TEST_F(HostProgram, WithoutASlotPassesNoHalfOpenBreakerAndIsToldOnce) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  Limiter limiter = open(config(kBreaker));
  limiter.admit("work").fail();
  EXPECT_EQ(in_child([&] {
              for (int fd = 3; fd < 64; ++fd) ::close(fd);
              if (!become_nobody()) return 1;
              if (passed_half_open(limiter, 100) != 0) return 2;
              if (!limiter.fault() || limiter.fault()->code != Errc::permission) return 3;
              if (limiter.admit("other").decision().verdict != Verdict::shed) return 4;
              return logged.size() == 1 && logged[0].find("Permission denied") != std::string::npos ? 0 : 5;
            }),
            0);
  EXPECT_EQ(passed_half_open(limiter, 100), 1) << "who has a slot probes";
}

TEST_F(HostProgram, InAFullTablePassesNoHalfOpenBreakerUntilASlotIsFree) {
  Limiter limiter = open(config(kBreaker));
  limiter.admit("work").fail();
  std::vector<std::unique_ptr<WorkerProcess>> workers;
  for (int i = 0; i < 7; ++i) {
    workers.push_back(std::make_unique<WorkerProcess>([&] { (void)limiter.join(); }));
  }
  EXPECT_EQ(in_child([&] {
              if (passed_half_open(limiter, 100) != 0) return 1;
              if (!limiter.fault() || limiter.fault()->code != Errc::no_space) return 2;
              workers.front()->signal(SIGKILL);
              const auto end = std::chrono::steady_clock::now() + 30s;
              int passed = 0;
              while (passed == 0 && std::chrono::steady_clock::now() < end)
                passed = passed_half_open(limiter, 1);
              return passed == 1 && !limiter.fault() ? 0 : 3;
            }),
            0);
}

TEST_F(HostProgram, ThatMayWriteNoLargeFileGetsAStandInAndNoSignal) {
  Config wanted = config(two_at_once, OnFault::local);
  wanted.segment.local_workers = 2;
  EXPECT_EQ(in_child([&] {
              const rlimit limit{100'000, 100'000};
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
              Limiter limiter = open(wanted);
              if (!limiter.fault() || limiter.fault()->what.find("RLIMIT_FSIZE") == std::string::npos)
                return 2;
              return admitted(limiter, 3) == 1 ? 0 : 3;
            }),
            0);
}

// Most of a segment is its user table, so a stand-in for fewer users fits in little address space.
TEST_F(HostProgram, WithoutAddressSpaceForAllUsersGetsAStandInForFewer) {
  for (const OnFault on_fault : {OnFault::local, OnFault::admit}) {
    Config wanted = config(two_at_once, on_fault);
    wanted.segment.local_workers = 2;
    wanted.segment.users = 20'000'000;
    wanted.segment.limits_per_user = 1;
    wanted.segment.reserve = false;
    EXPECT_EQ(in_child([&] {
                const rlimit limit{address_space() + (64 << 20), RLIM_INFINITY};
                if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
                auto limiter = Limiter::open(wanted);
                if (!limiter || !limiter->fault()) return 2;
                return admitted(*limiter, 3) == (on_fault == OnFault::admit ? 3 : 1) ? 0 : 3;
              }),
              0);
  }
}

TEST_F(HostProgram, OpensNoSegmentThatAnotherUserMade) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const Config wanted = config(two_at_once);
  ASSERT_EQ(in_child([&] { return become_nobody() && Limiter::open(wanted) ? 0 : 1; }), 0);
  for (const auto& refused : {Limiter::open(wanted), Limiter::attach(name.str())}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::permission);
    EXPECT_NE(refused.error().message().find(name.str() + "\": belongs to user 65534"), std::string::npos);
  }
  EXPECT_TRUE(take_snapshot(name.str())) << "an operator may look at it";
}

// The worker can use neither /proc nor the segment's name, so it locks through the descriptor that it inherited, and
// its pid must tell that it is dead.
TEST_F(HostProgram, InAnEmptyRootGetsThePermitsOfDeadWorkersBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change the root";
  char root[] = "/tmp/weir-empty-root-XXXXXX";
  ASSERT_NE(::mkdtemp(root), nullptr);
  Limiter limiter = open(config(two_at_once));
  EXPECT_EQ(in_child([&] {
              if (::chroot(root) != 0 || ::chdir("/") != 0) return 1;
              WorkerProcess worker([&] {
                static std::vector<Admission> held;
                for (int i = 0; i < 2; ++i) held.push_back(limiter.admit("work"));
              });
              if (admitted(limiter, 1) != 0) return 2;
              worker.kill();
              const auto end = std::chrono::steady_clock::now() + 30s;
              while (admitted(limiter, 3) != 2) {
                if (std::chrono::steady_clock::now() > end) return 3;
              }
              return 0;
            }),
            0);
  ::rmdir(root);
}

// A stand-in needs no descriptor. What its processes held comes back when they are dead, and it ends when
// there is a descriptor again.
TEST_F(HostProgram, WithoutAFreeDescriptorGetsAStandIn) {
  Config wanted = config(two_at_once, OnFault::local);
  wanted.segment.local_workers = 1;
  if (::geteuid() == 0) wanted.segment.group = "root";  // is looked up in a file, too
  EXPECT_EQ(in_child([&] {
              rlimit files{};
              if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 1;
              const rlimit none{3, files.rlim_max};
              if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 2;
              Limiter limiter = open(wanted);
              if (!limiter.fault() || limiter.fault()->what.find("Too many open files") == std::string::npos)
                return 3;
              const int killed_with_a_permit = in_child([&]() -> int {
                const Admission held = limiter.admit("work");
                ::_exit(held ? ::raise(SIGKILL) : 1);
              });
              if (killed_with_a_permit != -1) return 4;
              if (admitted(limiter, 3) != 2) return 5;
              const Admission held = limiter.admit("work");
              const int beside = in_child([&] { return admitted(limiter, 3); });
              if (!held || beside != 1) return 6;
              if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return 7;
              (void)limiter.admit_at(HostClock::now() + 5s, *limiter.operation("work"));
              return limiter.fault() ? 8 : 0;
            }),
            0);
}

// remove_segment() tells the processes that have the segment open: the next call of each goes to the new segment,
// however recently it looked for one.
TEST_F(HostProgram, AsksTheNewSegmentAtTheNextCallAfterARemoval) {
  const std::string text = "[operations.work]\nrate = \"1/h burst 2\"\n";
  Limiter limiter = open(config(text));
  Limiter for_good = std::move(*Limiter::attach(name.str()));
  const Operation work = *limiter.operation("work");
  ASSERT_TRUE(remove_segment(name.str()));
  EXPECT_EQ(limiter.peek(work).verdict, Verdict::admitted) << "there is no other yet";
  Limiter fresh = open(config(text));
  ASSERT_EQ(admitted(fresh, 3), 2);
  EXPECT_EQ(limiter.admit(work).decision().verdict, Verdict::throttled);
  EXPECT_EQ(admitted(for_good, 3), 2) << "attach() stays with what it attached to";
}

// After a pause the first call of any kind goes to the new segment, if the old one was unlinked by hand.
TEST_F(HostProgram, ThatWasIdleAsksTheNewSegmentAtOnce) {
  const std::string text = "[operations.work]\nrate = \"1/h burst 2\"\n";
  Limiter limiter = open(config(text));
  const Operation work = *limiter.operation("work");
  ASSERT_EQ(::unlink(name.path().c_str()), 0);
  Limiter fresh = open(config(text));
  ASSERT_EQ(admitted(fresh, 3), 2);
  EXPECT_EQ(limiter.admit_at(HostClock::now() + 2s, work).decision().verdict, Verdict::throttled);
}

// A process forks while it looks for the segment. Here the looking thread itself forks, in its log function.
TEST_F(HostProgram, ForkedWhileItLooksForTheSegmentLooksInTheChild) {
  const auto occupy = [&](const char* text) { std::ofstream(name.path()) << text; };
  occupy("not a segment");
  Config wanted = config("[operations.work]\nrate = \"1/h burst 8\"\n", OnFault::local);
  Limiter limiter = open(wanted);
  const Operation work = *limiter.operation("work");
  ASSERT_TRUE(limiter.fault());
  int result = -1;
  while_logging = [&] {
    result = in_child([&] {
      ::unlink(name.path().c_str());
      (void)limiter.admit_at(HostClock::now() + 10s, work);
      return limiter.fault() ? 1 : 0;
    });
  };
  occupy("not a segment, and longer");
  (void)limiter.admit_at(HostClock::now() + 5s, work);
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace weir

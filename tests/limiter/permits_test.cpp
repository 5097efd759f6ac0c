// SPDX-License-Identifier: Apache-2.0

// Concurrency limits as a user of the library meets them: permits of workers that live, fork and die.

#include <array>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "primitives/owner_set.hpp"
#include "segment/mapping.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::in_child;

Config with_permits(std::uint32_t global, std::uint32_t operation, std::uint32_t user) {
  Config config;
  config.segment.users = 1000;
  config.global.shared.concurrent = global;
  config.operations["work"].shared.concurrent = operation;
  config.operations["work"].user.concurrent = user;
  config.operations["other"];
  return config;
}

class LimiterPermits : public ::testing::Test {
 protected:
  void open(const Config& config) {
    auto opened = Limiter::open_private(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
  }
  Admission admit(const Request& request = {}, std::string_view operation = "work") {
    return limiter->admit(operation, request);
  }
  std::string refused_by(const Admission& admission) { return limiter->limit_name(admission.limit()); }
  std::vector<Admission> admit_all(const Request& request = {}) {
    std::vector<Admission> held;
    for (;;) {
      Admission admission = admit(request);
      if (!admission) return held;
      held.push_back(std::move(admission));
    }
  }
  // Waits until a sweep may be due again, then counts what can be held at once.
  std::size_t capacity(const Request& request = {}) {
    limiter->reap();
    return admit_all(request).size();
  }

  std::optional<Limiter> limiter;
};

TEST_F(LimiterPermits, AreHeldUntilTheEndOfTheScope) {
  open(with_permits(0, 2, 0));
  {
    const Admission first = admit();
    const Admission second = admit();
    EXPECT_TRUE(first && second);
    const Admission third = admit();
    EXPECT_EQ(third.verdict(), Verdict::shed);
    EXPECT_EQ(refused_by(third), "operations.work.concurrent");
  }
  EXPECT_TRUE(admit());
}

TEST_F(LimiterPermits, MoveWithTheAdmissionAndComeBackOnce) {
  open(with_permits(0, 1, 0));
  Admission first = admit();
  Admission moved = std::move(first);
  EXPECT_FALSE(admit());
  moved.release();
  moved.release();
  Admission second = admit();
  EXPECT_TRUE(second);
  moved = std::move(second);
  EXPECT_FALSE(admit());
  moved = Admission(Decision{});
  EXPECT_TRUE(admit());
}

TEST_F(LimiterPermits, HoldGloballyPerOperationAndPerUser) {
  open(with_permits(6, 5, 2));
  const auto alice = admit_all({.user = "alice"});
  EXPECT_EQ(alice.size(), 2U);
  EXPECT_EQ(refused_by(admit({.user = "alice"})), "operations.work.user.concurrent");
  const auto bob = admit_all({.user = "bob"});
  EXPECT_EQ(bob.size(), 2U);
  const auto carol = admit_all({.user = "carol"});
  EXPECT_EQ(carol.size(), 1U) << "five for the operation";
  EXPECT_EQ(refused_by(admit({.user = "carol"})), "operations.work.concurrent");
  const Admission other = admit({}, "other");
  EXPECT_TRUE(other) << "six in all";
  EXPECT_EQ(refused_by(admit({}, "other")), "global.concurrent");
}

TEST_F(LimiterPermits, OfAUserGoUpToSixtyFour) {
  for (const std::uint32_t limit : {1U, 3U, 4U, 5U, 16U, 17U, 64U}) {
    open(with_permits(0, 0, limit));
    for (int round = 0; round < 3; ++round) EXPECT_EQ(admit_all({.user = "alice"}).size(), limit) << limit;
  }
}

TEST_F(LimiterPermits, WeighAsMuchAsTheRequestSays) {
  open(with_permits(0, 10, 6));
  const Admission heavy = admit({.user = "alice", .weight = 4});
  EXPECT_TRUE(heavy);
  EXPECT_EQ(refused_by(admit({.user = "alice", .weight = 3})), "operations.work.user.concurrent");
  const Admission light = admit({.user = "alice", .weight = 2});
  EXPECT_TRUE(light);
  EXPECT_EQ(refused_by(admit({.user = "bob", .weight = 5})), "operations.work.concurrent");
  EXPECT_EQ(admit({.user = "bob", .weight = 7}).verdict(), Verdict::never);
}

TEST_F(LimiterPermits, AreNotTakenByARequestThatARateRefuses) {
  Config config = with_permits(0, 10, 10);
  config.operations["work"].user.rates = {{1, 24h, 3}};
  open(config);
  EXPECT_EQ(admit_all({.user = "alice"}).size(), 3U);
  EXPECT_EQ(admit_all({.user = "alice"}).size(), 0U);
  EXPECT_EQ(admit_all().size(), 10U);
}

TEST_F(LimiterPermits, AreGivenBackByAnyThread) {
  open(with_permits(0, 4, 4));
  for (int round = 0; round < 100; ++round) {
    auto held = admit_all({.user = "alice"});
    ASSERT_EQ(held.size(), 4U);
    std::thread([held = std::move(held)]() mutable { held.clear(); }).join();
  }
}

TEST_F(LimiterPermits, OfAParentAreUntouchedByItsChild) {
  open(with_permits(0, 3, 3));
  std::optional<Admission> mine = admit({.user = "alice"});
  EXPECT_EQ(in_child([&] {
              mine.reset();  // the child's copy: harmless
              const auto own = admit_all({.user = "alice"});
              return static_cast<int>(own.size());
            }),
            2);
  EXPECT_EQ(admit_all({.user = "alice"}).size(), 2U);
  mine.reset();
  EXPECT_EQ(capacity({.user = "alice"}), 3U);
}

TEST_F(LimiterPermits, OfAKilledWorkerComeBackToTheNextWhoNeedsThem) {
  open(with_permits(0, 5, 5));
  for (int round = 0; round < 20; ++round) {
    test::WorkerProcess worker([&](int ready) {
      const auto held = admit_all({.user = "alice"});
      test::WorkerProcess::say_ready(ready);
      for (;;) ::pause();
    });
    ASSERT_TRUE(worker.ready());
    EXPECT_FALSE(admit({.user = "alice"})) << "all are held by the living worker";
    worker.kill();
    const auto start = std::chrono::steady_clock::now();
    std::optional<Admission> mine;
    while (!mine || !*mine)
      mine = admit({.user = "alice"});  // ends within one sweep interval, or the test times out
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    RecordProperty("usable_again_ms", std::to_string(took.count()));
    mine.reset();
    EXPECT_EQ(capacity({.user = "alice"}), 5U);
  }
}

TEST_F(LimiterPermits, OfAStoppedWorkerStayItsOwn) {
  open(with_permits(0, 3, 0));
  test::WorkerProcess worker([&](int ready) {
    const Admission held = admit();
    test::WorkerProcess::say_ready(ready);
    for (;;) ::pause();
  });
  ASSERT_TRUE(worker.ready());
  worker.signal(SIGSTOP);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(capacity(), 2U) << "however often we sweep";
  worker.kill();
  EXPECT_EQ(capacity(), 3U);
}

// A server may end by exit() while its threads still work: its limiter is then destroyed before their admissions.
TEST_F(LimiterPermits, AreKeptByAnAdmissionThatOutlivesItsLimiter) {
  open(with_permits(0, 1, 1));
  int ended[2];
  int release[2];
  ASSERT_EQ(::pipe(ended), 0);
  ASSERT_EQ(::pipe(release), 0);
  test::Child worker([&] {
    Admission held = admit({.user = "alice"});
    limiter.reset();
    (void)!::write(ended[1], held ? "y" : "n", 1);
    char byte = 0;
    (void)!::read(release[0], &byte, 1);
    if (byte == 'r') held.release();
    (void)!::write(ended[1], "x", 1);
    for (;;) ::pause();
  });
  char byte = 0;
  ASSERT_EQ(::read(ended[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_EQ(limiter->reap().workers, 0U);
  EXPECT_FALSE(admit({.user = "alice"})) << "its work goes on";
  ASSERT_EQ(::write(release[1], "r", 1), 1);
  ASSERT_EQ(::read(ended[0], &byte, 1), 1);
  EXPECT_TRUE(admit({.user = "alice"})) << "it was released after its limiter had gone";
  worker.kill();
  EXPECT_EQ(limiter->reap().workers, 1U);
  for (const int fd : {ended[0], ended[1], release[0], release[1]}) ::close(fd);
}

TEST_F(LimiterPermits, OfAWorkerThatEndsByExitWhileItHoldsThemComeBack) {
  open(with_permits(0, 1, 1));
  EXPECT_EQ(in_child([&] {
              std::thread([&] {
                Admission held = admit({.user = "alice"});
                while (!held) held = admit({.user = "alice"});  // the loop below may have it for a moment
                for (;;) ::pause();
              }).detach();
              while (admit({.user = "alice"})) ::usleep(100);
              limiter.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(capacity({.user = "alice"}), 1U);
  EXPECT_EQ(admit_all({.user = "alice"}).size(), 1U);
}

TEST_F(LimiterPermits, AsManyWorkersAsWereKilledStartAtOnce) {
  constexpr std::size_t kWorkers = 4;
  Config config = with_permits(0, 10, 0);
  config.segment.workers = kWorkers;
  open(config);
  const int status = in_child([&] {  // the parent has one of the slots
    for (int round = 0; round < 20; ++round) {
      int go[2];
      int up[2];
      if (::pipe(go) != 0 || ::pipe(up) != 0) return 2;
      std::vector<std::unique_ptr<test::Child>> workers;
      while (workers.size() < kWorkers - 1) {
        workers.push_back(std::make_unique<test::Child>([&] {
          ::close(go[1]);
          char byte = 0;
          (void)!::read(go[0], &byte, 1);
          (void)!::write(up[1], limiter->join() ? "y" : "n", 1);
          for (;;) ::pause();
        }));
      }
      ::close(go[0]);
      ::close(go[1]);
      int refused = 0;
      for (std::size_t i = 0; i < workers.size(); ++i) {
        char answer = 'n';
        if (::read(up[0], &answer, 1) != 1 || answer != 'y') ++refused;
      }
      for (const auto& worker : workers) worker->signal(SIGKILL);
      for (const auto& worker : workers) worker->kill();
      ::close(up[0]);
      ::close(up[1]);
      if (refused != 0) return 1;
    }
    return 0;
  });
  EXPECT_EQ(status, 0);
}

// The owners in a user's permits tell sixteen tenants of a slot apart.
TEST_F(LimiterPermits, OfAUserAreNotGivenBackForTheTenantAfterSixteen) {
  const test::SegmentName name;
  Config config = with_permits(0, 0, 1);
  config.segment.name = name.str();
  config.segment.workers = 2;
  auto first = Limiter::open(config);
  ASSERT_TRUE(first);
  Admission late = first->admit("work", {.user = "alice"});
  ASSERT_TRUE(late);
  // The worker is taken for dead, as happens to one that could not map a page, closed all descriptors and lives in
  // another PID namespace.
  const auto segment =
      detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint);
  const auto sections = *detail::Sections::of(*segment);
  sections.modify_user_entries(
      *segment, [](detail::UserLimit, std::uint64_t) { return std::optional<std::uint64_t>(0); });
  // Its lock is still on slot 0, so the sixteenth tenant is written by hand.
  sections.workers[0].identity.store(detail::SlotIdentity{true, 16, 1}.word(), std::memory_order_release);
  auto second = Limiter::attach(name.str());
  ASSERT_TRUE(second);
  const Admission held = second->admit("work", {.user = "alice"});
  ASSERT_TRUE(held);
  sections.modify_user_entries(*segment, [](detail::UserLimit, std::uint64_t set) {
    return set == 0 ? std::nullopt
                    : std::optional<std::uint64_t>(detail::owner_set::pack(detail::Owner(0, 16)));
  });
  late.release();
  EXPECT_FALSE(second->admit("work", {.user = "alice"}))
      << "the permit of the sixteenth tenant was given back";
}

// A sweep on the way of a request asks for 512 workers; a zombie's pid does not tell that it has ended.
TEST_F(LimiterPermits, OfAnyOfManyDeadWorkersComeBack) {
  constexpr std::size_t kWorkers = 700;
  const test::SegmentName name;
  Config config = with_permits(0, 1, 0);
  config.segment.name = name.str();
  config.segment.workers = kWorkers + 1;
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 4 * kWorkers) GTEST_SKIP() << "this user may not open " << 4 * kWorkers << " files";
  auto mine = Limiter::open(config);
  ASSERT_TRUE(mine);
  test::WorkerProcess workers([&] {
    rlimit all = files;
    all.rlim_cur = all.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &all);
    auto* const limiters = new std::vector<Limiter>;
    for (std::size_t i = 0; i < kWorkers; ++i) limiters->push_back(std::move(*Limiter::attach(name.str())));
    new Admission(limiters->back().admit("work"));
  });
  ASSERT_TRUE(workers.ready());
  EXPECT_FALSE(mine->admit("work"));
  workers.kill_lazily();
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!mine->admit("work") && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(mine->admit("work"));
}

TEST_F(LimiterPermits, AWorkerTableFullOfTheLivingIsAClearErrorAndTheDeadMakeRoom) {
  Config config = with_permits(0, 10, 0);
  config.segment.workers = 2;
  open(config);
  test::WorkerProcess second([&] { (void)limiter->join(); });
  ASSERT_TRUE(second.ready());
  const auto third = [&] {
    const auto joined = limiter->join();
    if (!joined) return joined.error().code == Errc::no_space && !admit() ? 1 : 2;
    return admit() ? 0 : 3;
  };
  EXPECT_EQ(in_child(third), 1) << "no slot: an error, and its requests are shed";
  second.kill();
  EXPECT_EQ(in_child(third), 0) << "the dead worker's slot";
}

}  // namespace
}  // namespace weir

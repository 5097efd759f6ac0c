// SPDX-License-Identifier: Apache-2.0

// A pool of threads for work that blocks: what its futures say, whatever happens to the pool.

#include "weir/blocking_pool.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/fork.hpp"

#if defined(__SANITIZE_THREAD__)
// A node of boost::lockfree::queue may be read while another thread gives it back. The queue then sees that its tag has
// changed, and reads again.
extern "C" [[gnu::visibility("default")]] const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:boost::lockfree\n";
}
#endif

namespace weir {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Jobs that wait here go on when it opens.
class Barrier {
 public:
  void pass() {
    ++waiting_;
    open_.wait();
  }
  void open() { opened_.set_value(); }
  void await(int jobs) const {
    while (waiting_.load() < jobs) std::this_thread::yield();
  }

 private:
  std::promise<void> opened_;
  std::shared_future<void> open_ = opened_.get_future().share();
  std::atomic<int> waiting_{0};
};

template <class Value>
bool is_ready(const std::future<Value>& future) {
  return future.wait_for(0s) == std::future_status::ready;
}

class Pool : public ::testing::Test {
 protected:
  void open(const std::string& toml) {
    Config config = *parse_config(toml, "test");
    config.segment.users = 16;
    config.segment.workers = 32;
    auto opened = Limiter::open_private(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(*std::move(opened));
    work = *limiter->operation("work");
  }
  void SetUp() override { open("[operations.work]\nconcurrent = 8\n"); }

  std::optional<Limiter> limiter;
  Operation work{};
  Barrier barrier;
};

TEST_F(Pool, GivesWhatTheWorkReturns) {
  BlockingPool pool(*limiter, work, {.threads = 2});
  auto number = pool.submit({}, [] { return 7; });
  auto only_moved = pool.submit({}, [held = std::make_unique<int>(8)]() mutable { return std::move(held); });
  auto nothing = pool.submit({.user = "alice", .weight = 2}, [] {});
  EXPECT_EQ(number.get().value, 7);
  EXPECT_EQ(*with_fallback(only_moved.get(), [](const Decision&) { return nullptr; }), 8);
  EXPECT_TRUE(nothing.get());
}

TEST_F(Pool, GivesWhatTheWorkThrows) {
  open("[operations.work]\nbreaker = { failures = 1, recovery = \"1h\" }\n");
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto harmless = pool.submit(
      {}, []() -> int { throw std::invalid_argument("no"); }, [](const std::exception&) { return false; });
  EXPECT_THROW((void)harmless.get(), std::invalid_argument);
  auto failed = pool.submit({}, [] { throw 7; });
  EXPECT_THROW((void)failed.get(), int);
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.verdict, Verdict::circuit_open);
}

TEST_F(Pool, ServesItsJobsInTheirOrder) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto first = pool.submit({}, [&] { barrier.pass(); });
  std::vector<int> order;
  std::vector<std::future<RunResult<void>>> others;
  for (int i = 0; i < 10; ++i) others.push_back(pool.submit({}, [&order, i] { order.push_back(i); }));
  barrier.open();
  for (auto& other : others) EXPECT_TRUE(other.get());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST_F(Pool, RefusesAtOnceWhatItsQueueHasNoRoomFor) {
  BlockingPool pool(*limiter, work, {.threads = 2, .queue = 3});
  std::vector<std::future<RunResult<int>>> accepted;
  for (int i = 0; i < 5; ++i) {
    accepted.push_back(pool.submit({}, [this, i] {
      barrier.pass();
      return i;
    }));
  }
  for (int i = 0; i < 3; ++i) {
    auto refused = pool.submit({}, [] { return -1; });
    ASSERT_TRUE(is_ready(refused));
    const auto result = refused.get();
    EXPECT_FALSE(result);
    EXPECT_EQ(result.decision.verdict, Verdict::shed);
    EXPECT_EQ(result.decision.cause, ShedCause::queue_full);
  }
  barrier.open();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(accepted[static_cast<std::size_t>(i)].get().value, i);
  EXPECT_TRUE(pool.submit({}, [] {}).get());
}

TEST_F(Pool, WithoutAQueueTakesAJobForEachThreadThatIsFree) {
  BlockingPool pool(*limiter, work, {.threads = 1, .queue = 0});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(pool.submit({}, [] {}).get()) << i;
  auto running = pool.submit({}, [&] { barrier.pass(); });
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.cause, ShedCause::queue_full);
  barrier.open();
  EXPECT_TRUE(running.get());
}

TEST_F(Pool, HasAThreadForEachPermitUnlessToldOtherwise) {
  BlockingPool pool(*limiter, work, {.queue = 0});
  std::vector<std::future<RunResult<void>>> running;
  for (int i = 0; i < 8; ++i) running.push_back(pool.submit({}, [&] { barrier.pass(); }));
  barrier.await(8);
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.cause, ShedCause::queue_full);
  barrier.open();
  for (auto& one : running) EXPECT_TRUE(one.get());
}

TEST_F(Pool, HoldsNoPermitForAJobThatWaitsForAThread) {
  open("[operations.work]\nconcurrent = 2\n");
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto running = pool.submit({}, [&] { barrier.pass(); });
  barrier.await(1);
  auto queued = pool.submit({}, [] {});
  {
    const Admission other = limiter->admit(work);
    EXPECT_TRUE(other);
    EXPECT_FALSE(limiter->admit(work));
  }
  barrier.open();
  EXPECT_TRUE(running.get());
  EXPECT_TRUE(queued.get());
}

TEST_F(Pool, HasGivenThePermitBackWhenTheFutureIsReady) {
  open("[operations.work]\nconcurrent = 1\n");
  BlockingPool pool(*limiter, work, {.threads = 1});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pool.submit({}, [] {}).get()) << i;
    ASSERT_TRUE(limiter->admit(work)) << i;
  }
}

TEST_F(Pool, HasForgottenTheWorkWhenTheFutureIsReady) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  for (int i = 0; i < 100; ++i) {
    auto captured = std::make_shared<int>(i);
    const std::weak_ptr<int> seen = captured;
    auto future = pool.submit({}, [held = std::move(captured)] { return *held; });
    EXPECT_EQ(future.get().value, i);
    EXPECT_TRUE(seen.expired()) << i;
  }
}

TEST_F(Pool, PassesOnWhatTheLimitsRefuse) {
  open("[operations.work]\nconcurrent = 1\n");
  BlockingPool pool(*limiter, work, {.threads = 1});
  Admission only_one = limiter->admit(work);
  const auto refused = pool.submit({}, [] { return 7; }).get();
  EXPECT_FALSE(refused.value);
  EXPECT_EQ(refused.decision.verdict, Verdict::shed);
  EXPECT_NE(refused.decision.limit, LimitId::none);
  only_one.release();
  EXPECT_EQ(pool.submit({}, [] { return 7; }).get().value, 7);
}

TEST_F(Pool, KeepsTheUserOfARequest) {
  open("[operations.work]\n[operations.work.user]\nrate = \"1/h burst 1\"\n");
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto running = pool.submit({}, [&] { barrier.pass(); });
  std::string user = "a user with a name that is too long for a small string";
  const std::string same = user;
  auto queued = pool.submit({.user = user}, [] {});
  user.assign(user.size(), 'x');
  barrier.open();
  EXPECT_TRUE(queued.get());
  EXPECT_EQ(limiter->peek(work, {.user = same}).verdict, Verdict::throttled);
  EXPECT_EQ(limiter->peek(work, {.user = user}).verdict, Verdict::admitted);
}

TEST_F(Pool, AnswersAJobWhoseWaitIsOverBeforeAThreadIsFree) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto running = pool.submit({}, [&] { barrier.pass(); });
  auto late = pool.submit({.wait = 2ms}, [] {});
  auto patient = pool.submit({.wait = 1h}, [] {});
  auto whenever = pool.submit({}, [] {});
  const auto end = HostClock::now() + 3ms;
  while (HostClock::now() < end) std::this_thread::yield();
  barrier.open();
  const auto refused = late.get();
  EXPECT_EQ(refused.decision.verdict, Verdict::shed);
  EXPECT_EQ(refused.decision.cause, ShedCause::timed_out);
  EXPECT_GE(refused.decision.waited, 2ms);
  const auto done = patient.get();
  EXPECT_TRUE(done);
  EXPECT_GE(done.decision.waited, 2ms);
  EXPECT_TRUE(whenever.get());
}

TEST_F(Pool, AnswersAJobThatIsToStopBeforeAThreadIsFree) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto running = pool.submit({}, [&] { barrier.pass(); });
  std::optional<std::stop_source> source(std::in_place);
  std::optional<std::stop_token> token(source->get_token());
  auto stopped = pool.submit({.stop = *token}, [] {});
  token.reset();
  source->request_stop();
  source.reset();
  barrier.open();
  EXPECT_EQ(stopped.get().decision.cause, ShedCause::cancelled);
}

TEST_F(Pool, LetsAJobWaitForItsPermit) {
  open("[operations.work]\nconcurrent = 1\nqueue = 4\ntimeout = \"1h\"\n");
  BlockingPool pool(*limiter, work, {.threads = 2});
  Admission only_one = limiter->admit(work);
  auto waiting = pool.submit({.wait = 1h}, [] { return 7; });
  auto as_configured = pool.submit({.wait = kAsConfigured}, [] { return 8; });
  only_one.release();
  EXPECT_EQ(waiting.get().value, 7);
  EXPECT_EQ(as_configured.get().value, 8);
}

TEST_F(Pool, AnswersJobsThatWaitForAPermitWhenTheyAreToStop) {
  open("[operations.work]\nconcurrent = 1\nqueue = 4\ntimeout = \"1h\"\n");
  const Admission only_one = limiter->admit(work);
  for (int round = 0; round < 20; ++round) {
    BlockingPool pool(*limiter, work, {.threads = 3});
    std::stop_source source;
    const std::stop_token token = source.get_token();
    auto by_token = pool.submit({.wait = 1h, .stop = token}, [] {});
    auto by_pool = pool.submit({.wait = 1h}, [] {});
    auto by_time = pool.submit({.wait = 1ms}, [] {});
    EXPECT_EQ(by_time.get().decision.cause, ShedCause::timed_out);
    source.request_stop();
    EXPECT_EQ(by_token.get().decision.cause, ShedCause::cancelled);
    if (round % 2 == 0) {
      EXPECT_FALSE(pool.drain(steady_clock::now()));
    } else {
      pool.stop();
    }
    EXPECT_EQ(by_pool.get().decision.cause, ShedCause::cancelled);
  }
}

TEST_F(Pool, LetsADrainFinishWhatIsQueued) {
  BlockingPool pool(*limiter, work, {.threads = 2});
  std::vector<std::future<RunResult<void>>> jobs;
  for (int i = 0; i < 20; ++i) jobs.push_back(pool.submit({}, [&] { barrier.pass(); }));
  barrier.open();
  EXPECT_TRUE(pool.drain(steady_clock::now() + 1h));
  for (auto& job : jobs) {
    ASSERT_TRUE(is_ready(job));
    EXPECT_TRUE(job.get());
  }
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.cause, ShedCause::cancelled);
  EXPECT_TRUE(pool.drain(steady_clock::now()));
}

TEST_F(Pool, AnswersWhatADrainLeavesUndone) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto running = pool.submit({}, [&] {
    barrier.pass();
    return 7;
  });
  barrier.await(1);
  auto queued = pool.submit({}, [] { return 8; });
  EXPECT_FALSE(pool.drain(steady_clock::now()));
  ASSERT_TRUE(is_ready(queued));
  EXPECT_EQ(queued.get().decision.cause, ShedCause::cancelled);
  EXPECT_FALSE(is_ready(running));
  barrier.open();
  EXPECT_EQ(running.get().value, 7);
}

TEST_F(Pool, DrainsAtOnceIfItWasNotUsed) {
  BlockingPool pool(*limiter, work);
  EXPECT_TRUE(pool.drain(steady_clock::now()));
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.cause, ShedCause::cancelled);
}

TEST_F(Pool, AnswersTheRestBeforeAStopWaitsForWhatRuns) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  std::atomic<bool> finished{false};
  auto running = pool.submit({}, [&] {
    barrier.pass();
    finished = true;
  });
  barrier.await(1);
  auto queued = pool.submit({}, [] {});
  std::thread stopping([&] {
    pool.stop();
    EXPECT_TRUE(finished);
  });
  EXPECT_EQ(queued.get().decision.cause, ShedCause::cancelled);
  EXPECT_FALSE(finished);
  barrier.open();
  stopping.join();
  EXPECT_TRUE(running.get());
  pool.stop();
  EXPECT_EQ(pool.submit({}, [] {}).get().decision.cause, ShedCause::cancelled);
}

TEST_F(Pool, AnswersEachJobOnceItIsDestroyed) {
  std::vector<std::future<RunResult<void>>> jobs;
  {
    BlockingPool pool(*limiter, work, {.threads = 4});
    for (int i = 0; i < 200; ++i) jobs.push_back(pool.submit({}, [] {}));
  }
  for (auto& job : jobs) {
    ASSERT_TRUE(is_ready(job));
    const Decision decision = job.get().decision;
    EXPECT_TRUE(decision || decision.cause == ShedCause::cancelled);
  }
}

/// Submits from several threads while `close` is called, and counts the answers.
void answers_everybody(Limiter& limiter, Operation work, const std::function<void(BlockingPool&)>& close) {
  for (int round = 0; round < 30; ++round) {
    BlockingPool pool(limiter, work, {.threads = 3, .queue = 5});
    std::atomic<int> done{0};
    std::atomic<int> admitted{0};
    std::atomic<int> submitted{0};
    std::vector<std::thread> submitters;
    for (int t = 0; t < 4; ++t) {
      submitters.emplace_back([&] {
        for (bool closed = false; !closed;) {
          auto future = pool.submit({}, [&] { ++done; });
          ++submitted;
          const Decision decision = future.get().decision;
          closed = decision.cause == ShedCause::cancelled;
          if (decision) {
            ++admitted;
          } else {
            EXPECT_EQ(decision.verdict, Verdict::shed);
          }
        }
      });
    }
    while (submitted < 10 * round) std::this_thread::yield();
    close(pool);
    for (std::thread& submitter : submitters) submitter.join();
    EXPECT_EQ(done, admitted);
  }
}

TEST_F(Pool, AnswersEachJobThatIsSubmittedDuringAStop) {
  answers_everybody(*limiter, work, [](BlockingPool& pool) { pool.stop(); });
}

TEST_F(Pool, AnswersEachJobThatIsSubmittedDuringADrain) {
  answers_everybody(*limiter, work, [](BlockingPool& pool) { (void)pool.drain(steady_clock::now() + 1h); });
}

TEST_F(Pool, MayBeStoppedByManyThreads) {
  BlockingPool pool(*limiter, work, {.threads = 4});
  std::vector<std::future<RunResult<void>>> jobs;
  for (int i = 0; i < 100; ++i) jobs.push_back(pool.submit({}, [] {}));
  std::vector<std::thread> stoppers;
  for (int i = 0; i < 4; ++i) stoppers.emplace_back([&] { pool.stop(); });
  for (std::thread& stopper : stoppers) stopper.join();
  for (auto& job : jobs) EXPECT_TRUE(is_ready(job));
}

TEST_F(Pool, WorksInAChildAndInItsParent) {
  BlockingPool pool(*limiter, work, {.threads = 2});
  auto of_parent = pool.submit({}, [&] { barrier.pass(); });
  auto queued = pool.submit({}, [&] { barrier.pass(); });
  barrier.await(2);
  EXPECT_EQ(test::in_child([&] {
              if (is_ready(of_parent)) return 1;
              for (int i = 0; i < 100; ++i) {
                if (pool.submit({}, [i] { return i; }).get().value != i) return 2;
              }
              pool.stop();
              if (pool.submit({}, [] {}).get()) return 3;
              return is_ready(of_parent) ? 4 : 0;
            }),
            0);
  barrier.open();
  EXPECT_TRUE(of_parent.get());
  EXPECT_TRUE(queued.get());
  EXPECT_TRUE(pool.submit({}, [] {}).get());
}

TEST_F(Pool, WorksInAChildThatWasForkedAtAnyMoment) {
  BlockingPool pool(*limiter, work, {.threads = 3, .queue = 4});
  std::atomic<bool> enough{false};
  std::vector<std::thread> submitters;
  for (int t = 0; t < 2; ++t) {
    submitters.emplace_back([&] {
      while (!enough) (void)pool.submit({}, [] {}).get();
    });
  }
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(test::in_child([&] {
                const bool fine = pool.submit({}, [] { return 7; }).get().value == 7;
                pool.stop();
                return fine ? 0 : 1;
              }),
              0);
  }
  enough = true;
  for (std::thread& submitter : submitters) submitter.join();
}

// A process that has no worker slot yet gets no permit, and one thread at a time may claim one.
TEST_F(Pool, GivesAllThreadsOfAChildTheirPermits) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(test::in_child([&] {
                BlockingPool pool(*limiter, work, {.threads = 8});
                std::vector<std::future<RunResult<void>>> jobs;
                for (int i = 0; i < 8; ++i) jobs.push_back(pool.submit({}, [] {}));
                int done = 0;
                for (auto& job : jobs) done += job.get() ? 1 : 0;
                return 8 - done;
              }),
              0);
  }
}

TEST_F(Pool, IsDestroyedInAChildWithoutItsParentsThreads) {
  auto pool = std::make_unique<BlockingPool>(*limiter, work, PoolOptions{.threads = 2});
  auto running = pool->submit({}, [&] { barrier.pass(); });
  barrier.await(1);
  EXPECT_EQ(test::in_child([&] {
              pool.reset();
              return 0;
            }),
            0);
  barrier.open();
  EXPECT_TRUE(running.get());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// The child is the copy of a thread of the pool, and it ends when its work does.
TEST_F(Pool, EndsAChildThatItsWorkHasForked) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  auto child = pool.submit({}, [] {
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    const pid_t forked = ::fork();
    if (forked == 0) test::die_with(parent);
    return forked;
  });
  EXPECT_EQ(test::result_of(child.get().value.value()), 0);
  EXPECT_EQ(pool.submit({}, [] { return 7; }).get().value, 7);
}
#endif

TEST_F(Pool, RefusesAJobThatAChildHasNoThreadFor) {
  BlockingPool pool(*limiter, work, {.threads = 1});
  EXPECT_EQ(test::in_child([&] {
              // Root may have any number of processes, and so of threads.
              if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 1;
              const rlimit one{1, 1};
              if (::setrlimit(RLIMIT_NPROC, &one) != 0) return 2;
              const auto result = pool.submit({}, [] { return 7; }).get();
              return !result && result.decision.cause == ShedCause::queue_full ? 0 : 3;
            }),
            0);
  EXPECT_EQ(pool.submit({}, [] { return 7; }).get().value, 7);
}

/// What the kernel says of each thread of this process but the caller: its state, and how often it went to sleep or was
/// interrupted.
std::map<std::string, std::string> other_threads() {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const std::string id = entry.path().filename();
    if (id == std::to_string(::gettid())) continue;
    std::ifstream status(entry.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:") || line.find("ctxt_switches") != std::string::npos)
        all[id] += line + '\n';
    }
  }
  return all;
}

TEST_F(Pool, LetsIdleThreadsOfAChildSleep) {
  EXPECT_EQ(test::in_child([&] {
              BlockingPool pool(*limiter, work, {.threads = 8});
              std::vector<std::future<RunResult<void>>> jobs;
              for (int i = 0; i < 8; ++i) jobs.push_back(pool.submit({}, [&] { barrier.pass(); }));
              barrier.await(8);
              barrier.open();
              for (auto& job : jobs) job.wait();
              auto before = other_threads();
              for (int i = 0; i < 600; ++i) {  // until nothing has run between two looks
                std::this_thread::sleep_for(100ms);
                auto after = other_threads();
                if (after == before && after.size() >= 8) return 0;
                before = std::move(after);
              }
              return 1;
            }),
            0);
}

}  // namespace
}  // namespace weir

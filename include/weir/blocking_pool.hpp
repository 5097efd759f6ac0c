// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include "weir/admission.hpp"
#include "weir/clock.hpp"
#include "weir/decision.hpp"
#include "weir/export.hpp"
#include "weir/limiter.hpp"
#include "weir/run.hpp"

namespace weir {

struct PoolOptions {
  /// Threads at most; each is started when a job first needs it. 0: as many as the `concurrent` limit of the
  /// operation over all callers was when the process first used the pool, or one for each processor if there is none.
  std::uint16_t threads = 0;
  /// Jobs at most that wait for a thread; 0: a job is refused unless a thread is free.
  std::uint16_t queue = 1024;
};

namespace detail {

class PoolState;

/// A job of a BlockingPool, without the types of its work. It is worked off or refused, and then answers.
class WEIR_EXPORT PoolJob {
 public:
  explicit PoolJob(const Request& request);
  PoolJob(const PoolJob&) = delete;
  PoolJob& operator=(const PoolJob&) = delete;
  virtual ~PoolJob();

  /// What it asks of the limits; the user lies in this job.
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }
  /// The time since it was submitted.
  [[nodiscard]] std::chrono::nanoseconds age() const noexcept { return HostClock::now() - submitted_; }
  /// Adds `waited` to what a decision says of its wait.
  [[nodiscard]] static Decision after_waiting(Decision decision, std::chrono::nanoseconds waited) noexcept;

  /// Does the work. @param waited  how long it waited for a thread.
  virtual void work(Admission& admission, std::chrono::nanoseconds waited) noexcept = 0;
  virtual void refuse(const Decision& decision) noexcept = 0;
  /// Makes its future ready.
  virtual void answer() noexcept = 0;

 private:
  std::string user_;
  std::stop_token stop_;
  Request request_;
  HostClock::time_point submitted_;
};

template <class Work, class Failed>
class PoolJobOf final : public PoolJob {
 public:
  using Result = RunResult<Returned<Work>>;

  template <class SomeWork, class SomeFailed>
  PoolJobOf(const Request& request, SomeWork&& work, SomeFailed&& failed)
      : PoolJob(request),
        calls_(std::in_place, std::forward<SomeWork>(work), std::forward<SomeFailed>(failed)) {}

  [[nodiscard]] std::future<Result> future() { return promise_.get_future(); }

  void work(Admission& admission, std::chrono::nanoseconds waited) noexcept override {
    try {
      result_.emplace(run_admitted(admission, calls_->work, calls_->failed));
      result_->decision = after_waiting(result_->decision, waited);
    } catch (...) {
      thrown_ = std::current_exception();
    }
    calls_.reset();  // what they have captured ends before the future is ready
  }
  void refuse(const Decision& decision) noexcept override {
    result_.emplace(Result{decision});
    calls_.reset();
  }
  void answer() noexcept override {
    try {
      if (!thrown_) return promise_.set_value(*std::move(result_));
    } catch (...) {
      thrown_ = std::current_exception();
    }
    promise_.set_exception(std::move(thrown_));
  }

 private:
  struct Calls {
    template <class SomeWork, class SomeFailed>
    Calls(SomeWork&& some_work, SomeFailed&& some_failed)
        : work(std::forward<SomeWork>(some_work)), failed(std::forward<SomeFailed>(some_failed)) {}
    Work work;
    Failed failed;
  };
  std::optional<Calls> calls_;
  std::optional<Result> result_;
  std::exception_ptr thrown_;
  std::promise<Result> promise_;
};

}  // namespace detail

/// Threads of its own for work that blocks, under the limits of one operation.
///
/// A job asks the limits when a thread begins with it, so a job that still waits for a thread holds no permit. The pool
/// serves its jobs first come, first served; among the threads of all processes the order of the operation's queue holds.
///
/// Time      what a job has waited for a thread is taken off its `wait`, unless that is kAsConfigured. A job whose
///           `wait` is 0 waits for a thread as long as that takes, and for a permit not at all.
/// Refusals  are answers of the future, not exceptions: what the limits say; ShedCause::queue_full, at once, if the
///           queue of the pool is full, or if memory or threads cannot be had; timed_out if the `wait` was over before a
///           thread was free; cancelled if the stop token asked for it, or the pool was stopped.
/// Threads   any thread may call submit, drain and stop, except that a job of the pool itself must not call the last two.
/// Fork      a child may go on with the pool: it has no threads and no jobs, and its first submit starts threads again.
///           Jobs of the parent stay with the parent; their futures never become ready in the child.
class WEIR_EXPORT BlockingPool {
 public:
  /// Starts no thread yet, so a process that forks workers may make its pool before.
  /// @param limiter  outlives the pool, and stays where it is.
  BlockingPool(Limiter& limiter, Operation operation, const PoolOptions& options = {}) noexcept
      : limiter_(limiter), operation_(operation), options_(options) {}
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;
  /// Stops the pool.
  ~BlockingPool();

  /// Lets a thread of the pool do some work once the limits admit it.
  ///
  /// @param request  is copied, with its user and its stop token.
  /// @param work, failed  as for Limiter::run. They are moved or copied into the job, and are destroyed before the future is
  ///                 ready. What the work throws, the future throws.
  /// Errors  What copying the arguments throws, and std::bad_alloc if memory runs out for the future itself.
  template <class Work, class Failed = detail::OnlyExceptions>
  auto submit(const Request& request, Work&& work, Failed&& failed = {})
      -> std::future<RunResult<detail::Returned<std::decay_t<Work>>>> {
    using Job = detail::PoolJobOf<std::decay_t<Work>, std::decay_t<Failed>>;
    std::unique_ptr<Job> job;
    std::future<typename Job::Result> future;
    try {
      job = std::make_unique<Job>(request, std::forward<Work>(work), std::forward<Failed>(failed));
      future = job->future();
    } catch (const std::bad_alloc&) {
      std::promise<typename Job::Result> refusal;
      refusal.set_value({Decision{.verdict = Verdict::shed, .cause = ShedCause::queue_full}});
      return refusal.get_future();
    }
    submit(std::move(job));
    return future;
  }

  /// Takes no more jobs, and lets those that it has be worked off until the deadline. Then it answers the rest with
  /// ShedCause::cancelled, and returns without waiting for work that still runs.
  /// @return whether all jobs were worked off.
  bool drain(std::chrono::steady_clock::time_point deadline) noexcept;

  /// Takes no more jobs, answers those that no thread works on with ShedCause::cancelled, and waits for the work that
  /// runs.
  void stop() noexcept;

 private:
  void submit(std::unique_ptr<detail::PoolJob> job) noexcept;
  [[nodiscard]] detail::PoolState* state() noexcept;

  Limiter& limiter_;
  Operation operation_;
  PoolOptions options_;
  std::atomic<detail::PoolState*> state_{nullptr};  // of the process that used the pool last
};

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_state.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "weir/policy.hpp"

#include "pool/either_stop.hpp"

namespace weir::detail {
namespace {

Decision shed(ShedCause cause) noexcept {
  return {.verdict = Verdict::shed, .cause = cause};
}

std::uint32_t threads_for(const Limiter& limiter, Operation operation, const PoolOptions& options) {
  if (options.threads != 0) return options.threads;
  const Config config = limiter.config();
  const auto policy = config.operations.find(limiter.operation_name(operation));
  const std::uint32_t limit = policy != config.operations.end() ? policy->second.shared.concurrent.limit : 0;
  return limit != 0 ? limit : std::max(std::thread::hardware_concurrency(), 1U);
}

}  // namespace

PoolState::PoolState(Limiter& limiter, Operation operation, const PoolOptions& options)
    : limiter_(limiter),
      operation_(operation),
      threads_(threads_for(limiter, operation, options)),
      most_jobs_(threads_ + options.queue),
      jobs_(most_jobs_) {
  (void)limiter
      .join();  // before threads ask for permits: only one of them could claim the slot, and the others get none
}

void PoolState::submit(std::unique_ptr<PoolJob> job) noexcept {
  if (phase_.load(std::memory_order_relaxed) != Phase::open) {
    job->refuse(shed(ShedCause::cancelled));
    return job->answer();
  }
  if (!take()) {
    job->refuse(shed(ShedCause::queue_full));
    return job->answer();
  }
  if (!start_thread() || !jobs_.bounded_push(job.get())) {
    return give_up(std::move(job), ShedCause::queue_full);
  }
  (void)job.release();  // a thread has it, or the one that stops the pool
  ready_.post();
  std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(stopped)
  if (phase_.load(std::memory_order_relaxed) == Phase::stopped) cancel_rest();
}

bool PoolState::take() noexcept {
  std::uint32_t taken = taken_.load(std::memory_order_relaxed);
  while (taken < most_jobs_) {
    if (taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool PoolState::start_thread() noexcept {
  const std::uint32_t needed = std::min(taken_.load(std::memory_order_relaxed), threads_);
  if (started_.load(std::memory_order_relaxed) >= needed) return true;
  const std::lock_guard lock(mutex_);
  // Once the pool is closed, the job is answered when that ends.
  if (phase_.load(std::memory_order_relaxed) != Phase::open || running_.size() >= needed) return true;
  try {
    running_.emplace_back([this] { serve(); });
    ++alive_;
    started_.store(static_cast<std::uint32_t>(running_.size()), std::memory_order_relaxed);
  } catch (const std::exception&) {  // no memory, or no more threads: go on with those that there are
  }
  return !running_.empty();
}

void PoolState::serve() noexcept {
  while (phase_.load(std::memory_order_relaxed) != Phase::stopped) {
    ready_.wait();
    PoolJob* job = nullptr;
    if (jobs_.pop(job)) {
      work_off(std::unique_ptr<PoolJob>(job));
      if (!is_of_this_process()) return;
    } else if (phase_.load(std::memory_order_relaxed) != Phase::open) {
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  if (--alive_ == 0) left_.notify_all();
}

void PoolState::work_off(std::unique_ptr<PoolJob> job) noexcept {
  const std::chrono::nanoseconds waited = job->age();
  if (const ShedCause cause = too_late(*job, waited); cause != ShedCause::none) {
    job->refuse(PoolJob::after_waiting(shed(cause), waited));
  } else if (Admission admission = admit(*job, waited); admission) {
    job->work(admission, waited);
  } else {
    job->refuse(PoolJob::after_waiting(admission.decision(), waited));
  }
  if (!is_of_this_process()) {  // the work has forked, and this is the child
    (void)job.release();
    return;
  }
  taken_.fetch_sub(1, std::memory_order_relaxed);
  job->answer();
}

ShedCause PoolState::too_late(const PoolJob& job, std::chrono::nanoseconds waited) const noexcept {
  if (phase_.load(std::memory_order_relaxed) == Phase::stopped) return ShedCause::cancelled;
  if (job.stop().stop_requested()) return ShedCause::cancelled;
  const std::chrono::nanoseconds wait = job.request().wait;
  return wait.count() > 0 && waited >= wait ? ShedCause::timed_out : ShedCause::none;
}

Admission PoolState::admit(const PoolJob& job, std::chrono::nanoseconds waited) noexcept {
  Request request = job.request();
  if (request.wait.count() <= 0) return limiter_.admit(operation_, request);
  if (request.wait != kAsConfigured) request.wait -= waited;
  try {
    const EitherStop stop(job.stop(), stopping_.get_token());
    request.stop = stop.token();
    return limiter_.admit(operation_, request);
  } catch (const std::bad_alloc&) {
    return Admission(shed(ShedCause::queue_full));
  }
}

bool PoolState::drain(std::chrono::steady_clock::time_point deadline) noexcept {
  bool all = false;
  {
    std::unique_lock lock(mutex_);
    if (phase_.load(std::memory_order_relaxed) == Phase::open) close(Phase::draining);
    all = left_.wait_until(lock, deadline, [this] { return alive_ == 0; });
    close(Phase::stopped);
  }
  stopping_.request_stop();
  return cancel_rest() == 0 && all;
}

void PoolState::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    close(Phase::stopped);
  }
  stopping_.request_stop();
  cancel_rest();
  const std::lock_guard joining(joining_);
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(running_);
  }
  for (std::thread& thread : threads) thread.join();
}

void PoolState::close(Phase phase) noexcept {
  phase_.store(phase, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(stopped)
  for (std::uint32_t i = 0; i < alive_; ++i) ready_.post();
}

std::size_t PoolState::cancel_rest() noexcept {
  std::size_t count = 0;
  for (PoolJob* job = nullptr; jobs_.pop(job); ++count)
    give_up(std::unique_ptr<PoolJob>(job), ShedCause::cancelled);
  return count;
}

void PoolState::give_up(std::unique_ptr<PoolJob> job, ShedCause cause) noexcept {
  job->refuse(PoolJob::after_waiting(shed(cause), job->age()));
  taken_.fetch_sub(1, std::memory_order_relaxed);
  job->answer();
}

}  // namespace weir::detail

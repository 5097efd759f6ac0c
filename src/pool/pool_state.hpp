// SPDX-License-Identifier: Apache-2.0
#pragma once

// The threads and the jobs that a BlockingPool has in one process. Nothing here is shared with other processes.
//
//   jobs    those that no thread has begun with, in a queue of fixed capacity
//   ready   a semaphore: one for each job that was put into the queue, and one for each thread that is to leave
//   taken   jobs that were accepted and are not worked off. It never exceeds threads + queue, so a job that is accepted
//           finds room in `jobs`, and one of fewer than `threads` finds a thread. It goes down before the job answers, so
//           a caller that has an answer finds the room that this job had.
//   phase   open -> draining -> stopped, or open -> stopped
//
// Stopping  A job may be put into the queue while another thread stops the pool. Either the submitter then sees that the
//           pool is stopped, or the stopper sees the job: each writes first, fences, and then reads (sync(stopped)). The
//           one that sees it answers what is in the queue; a job that both see is popped once.
//           A thread waits for `ready` at most once after the pool is stopped, and stop() posts once for each of them.
//           A thread that drains leaves when it is woken and finds the queue empty. A job that comes too late for that is
//           answered when the drain ends.
// Lock      `mutex` guards the list of threads and the changes of the phase. submit() takes it only to start a thread.
//           `joining` is held while threads are joined. Both belong to this process, and no decision takes them.
// Fork      A child never touches the state of its parent, whose mutex and queue another thread may have been changing:
//           it makes a state of its own, and leaves the memory of its parent's as it is. If a job itself forks, the
//           thread that is left in the child leaves when its work returns there.

#include <atomic>
#include <boost/lockfree/queue.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "weir/blocking_pool.hpp"
#include "weir/limiter.hpp"

#include "base/process_tag.hpp"
#include "pool/semaphore.hpp"

namespace weir::detail {

class PoolState {
 public:
  /// Throws std::bad_alloc.
  PoolState(Limiter& limiter, Operation operation, const PoolOptions& options);
  PoolState(const PoolState&) = delete;
  PoolState& operator=(const PoolState&) = delete;
  ~PoolState() { stop(); }

  [[nodiscard]] bool is_of_this_process() const noexcept { return process_ == process_tag(); }

  /// Answers a job, now or when it was worked off.
  void submit(std::unique_ptr<PoolJob> job) noexcept;
  bool drain(std::chrono::steady_clock::time_point deadline) noexcept;
  void stop() noexcept;

 private:
  enum class Phase : std::uint8_t { open, draining, stopped };

  /// Makes room for one more job. @return false: the queue is full.
  bool take() noexcept;
  /// Starts a thread if the jobs need one more. @return false: there is none at all.
  bool start_thread() noexcept;
  /// What a thread of the pool does.
  void serve() noexcept;
  void work_off(std::unique_ptr<PoolJob> job) noexcept;
  [[nodiscard]] ShedCause too_late(const PoolJob& job, std::chrono::nanoseconds waited) const noexcept;
  [[nodiscard]] Admission admit(const PoolJob& job, std::chrono::nanoseconds waited) noexcept;
  /// Goes to a later phase and wakes all threads. Call it with the mutex.
  void close(Phase phase) noexcept;
  /// Refuses all jobs in the queue. @return how many those were.
  std::size_t cancel_rest() noexcept;
  /// Refuses a job that was taken.
  void give_up(std::unique_ptr<PoolJob> job, ShedCause cause) noexcept;

  Limiter& limiter_;
  const Operation operation_;
  const std::uint64_t process_ = process_tag();
  const std::uint32_t threads_;
  const std::uint32_t most_jobs_;
  boost::lockfree::queue<PoolJob*> jobs_;
  Semaphore ready_;
  std::stop_source stopping_;  // wakes threads that wait for a permit
  std::atomic<Phase> phase_{Phase::open};
  std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::uint32_t> started_{0};
  std::mutex mutex_;
  std::condition_variable left_;  // the last thread has left
  std::vector<std::thread> running_;
  std::uint32_t alive_ = 0;  // threads that have not left
  std::mutex joining_;       // held while threads are joined, so that each stop() returns when all are
};

}  // namespace weir::detail

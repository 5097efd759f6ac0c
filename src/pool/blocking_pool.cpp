// SPDX-License-Identifier: Apache-2.0
#include "weir/blocking_pool.hpp"

#include <algorithm>
#include <limits>

#include "pool/pool_state.hpp"

namespace weir {

using detail::PoolJob;
using detail::PoolState;

namespace {

std::unique_ptr<PoolState> make_state(Limiter& limiter, Operation operation,
                                      const PoolOptions& options) noexcept {
  try {
    return std::make_unique<PoolState>(limiter, operation, options);
  } catch (const std::exception&) {  // out of memory
    return nullptr;
  }
}

}  // namespace

PoolJob::PoolJob(const Request& request)
    : user_(request.user),
      stop_(request.stop.get() != nullptr ? *request.stop.get() : std::stop_token()),
      request_(request),
      submitted_(HostClock::now()) {
  request_.user = user_;
  request_.stop = stop_;
}
PoolJob::~PoolJob() = default;

Decision PoolJob::after_waiting(Decision decision, std::chrono::nanoseconds waited) noexcept {
  using Waited = decltype(decision.waited);
  const std::int64_t all =
      decision.waited.count() + std::chrono::duration_cast<std::chrono::microseconds>(waited).count();
  decision.waited = Waited(
      static_cast<Waited::rep>(std::clamp<std::int64_t>(all, 0, std::numeric_limits<Waited::rep>::max())));
  return decision;
}

// A child leaves the memory of its parent's state as it is.
BlockingPool::~BlockingPool() {
  const PoolState* const state = state_.load(std::memory_order_acquire);
  if (state != nullptr && state->is_of_this_process()) delete state;
}

void BlockingPool::submit(std::unique_ptr<PoolJob> job) noexcept {
  if (PoolState* const mine = state(); mine != nullptr) return mine->submit(std::move(job));
  job->refuse({.verdict = Verdict::shed, .cause = ShedCause::queue_full});
  job->answer();
}

bool BlockingPool::drain(std::chrono::steady_clock::time_point deadline) noexcept {
  PoolState* const mine = state();
  return mine == nullptr || mine->drain(deadline);
}

void BlockingPool::stop() noexcept {
  if (PoolState* const mine = state(); mine != nullptr) mine->stop();
}

PoolState* BlockingPool::state() noexcept {
  PoolState* seen = state_.load(std::memory_order_acquire);
  while (seen == nullptr || !seen->is_of_this_process()) {
    auto made = make_state(limiter_, operation_, options_);
    if (made == nullptr) return nullptr;
    if (state_.compare_exchange_strong(seen, made.get(), std::memory_order_acq_rel)) return made.release();
  }
  return seen;
}

}  // namespace weir

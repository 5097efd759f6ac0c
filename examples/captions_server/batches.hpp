// SPDX-License-Identifier: Apache-2.0
#pragma once

// Batches of captions, worked off by threads of each worker, so that its event loop goes on meanwhile.
//
// A client gets the captions with the answer to its request, or asks not to wait for them (`Prefer: respond-async`) and fetches
// them later, from any worker: see batch_results.hpp.

// clang-format off
#include <utility>  // asio/awaitable.hpp uses it and does not include it
// clang-format on
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <future>
#include <list>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "weir/blocking_pool.hpp"
#include "weir/limiter.hpp"

#include "batch_results.hpp"
#include "captions.hpp"

namespace captions {

inline constexpr std::chrono::milliseconds kPoll(5);  ///< how often the event loop looks at what it waits for

struct BatchOptions {
  weir::PoolOptions pool{.queue = 64};  ///< of each worker
  std::uint32_t results = 256;          ///< that all workers keep together
  std::uint32_t kept_seconds = 300;
};

/// A drill that an administrator asks for.
struct Drill {
  bool slow = false;  ///< the model takes half a second
  bool fail = false;  ///< it fails
};

struct ModelFailed : std::runtime_error {
  ModelFailed() : std::runtime_error("the model failed, as it was asked to") {}
};

class Batches {
 public:
  using Future = std::shared_future<weir::RunResult<Json>>;

  Batches(weir::Limiter& limiter, weir::Operation operation, const BatchOptions& options,
          BatchResults results) noexcept
      : limiter_(limiter), operation_(operation), options_(options), results_(std::move(results)) {}

  [[nodiscard]] BatchResults& results() noexcept { return results_; }

  /// Makes the pool of this worker, after its fork.
  void start() { pool_.emplace(limiter_, operation_, options_.pool); }
  /// Gives the pool time to work off what it has, and keeps the results. What is not done then, the parent fails.
  void drain(std::chrono::seconds grace);

  /// The captions in the answer, once the limits have admitted the request; ModelFailed if the drill asks for that.
  [[nodiscard]] Future submit(const weir::Request& request, std::vector<Wanted> batch, Drill drill);

  /// Keeps the result of a batch under `id` when it is there. @param request  its user is copied.
  /// @return whether a caller must spawn collect_all(), since it does not run.
  [[nodiscard]] bool keep(std::string id, const weir::Request& request, Future done);
  /// Collects results until all are there.
  [[nodiscard]] boost::asio::awaitable<void> collect_all();

 private:
  struct Pending {
    std::string id;
    std::string user;
    std::uint32_t cost;
    Future done;
  };
  void collect();
  void finish(Pending& pending) noexcept;
  [[nodiscard]] std::pair<BatchStatus, std::string> outcome(Pending& pending);

  weir::Limiter& limiter_;
  weir::Operation operation_;
  BatchOptions options_;
  BatchResults results_;
  std::optional<weir::BlockingPool> pool_;
  std::list<Pending> pending_;
  bool collecting_ = false;
};

[[nodiscard]] inline bool is_ready(const Batches::Future& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

/// Whether it is known already that the limits, or a full queue, have refused the batch.
[[nodiscard]] bool is_refused(const Batches::Future& future);

}  // namespace captions

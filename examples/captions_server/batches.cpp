// SPDX-License-Identifier: Apache-2.0
#include "batches.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "refusal.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;

/// Stands for a call that blocks its thread until the model has answered.
Json generate(const std::vector<Wanted>& batch, Drill drill) {
  if (drill.slow) std::this_thread::sleep_for(kSlowModel);
  if (drill.fail) throw ModelFailed();
  Json captions = Json::array();
  for (const Wanted& wanted : batch) captions.push_back(make_caption(wanted));
  return {{"captions", captions}};
}

}  // namespace

Batches::Future Batches::submit(const weir::Request& request, std::vector<Wanted> batch, Drill drill) {
  return pool_->submit(request, [batch = std::move(batch), drill] { return generate(batch, drill); }).share();
}

bool Batches::keep(std::string id, const weir::Request& request, Future done) {
  pending_.push_back({std::move(id), std::string(request.user), request.cost, std::move(done)});
  return !std::exchange(collecting_, true);
}

asio::awaitable<void> Batches::collect_all() {
  struct End {
    bool& collecting;
    ~End() { collecting = false; }
  } const end{collecting_};
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (collect(); !pending_.empty(); collect()) {
    timer.expires_after(kPoll);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void Batches::drain(std::chrono::seconds grace) {
  pool_->drain(std::chrono::steady_clock::now() + grace);
  collect();
}

void Batches::collect() {
  pending_.remove_if([this](Pending& pending) {
    if (!is_ready(pending.done)) return false;
    finish(pending);
    return true;
  });
}

void Batches::finish(Pending& pending) noexcept try {
  const auto [status, text] = outcome(pending);
  results_.finish(pending.id, status, text);
} catch (const std::exception&) {  // out of memory
  results_.finish(pending.id, BatchStatus::failed, {});
}

std::pair<BatchStatus, std::string> Batches::outcome(Pending& pending) try {
  const auto& result = pending.done.get();
  if (result) return {BatchStatus::completed, dump(*result.value)};
  const weir::Request request{.user = pending.user, .cost = pending.cost};
  return {BatchStatus::failed, dump(describe_refusal(limiter_, operation_, request, result.decision).body)};
} catch (const ModelFailed& failed) {
  return {BatchStatus::failed, dump(error_body("model_failed", failed.what()))};
}

bool is_refused(const Batches::Future& future) try {
  return is_ready(future) && !future.get();
} catch (const std::exception&) {  // of the work, so that was admitted
  return false;
}

}  // namespace captions

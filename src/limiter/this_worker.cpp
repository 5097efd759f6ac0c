// SPDX-License-Identifier: Apache-2.0
#include "limiter/this_worker.hpp"

#include <exception>
#include <fmt/format.h>

#include "weir/clock.hpp"
#include "weir/log.hpp"

#include "base/ticks.hpp"
#include "policy/events.hpp"

namespace weir::detail {

Result<Identity> ThisWorker::join() {
  const std::uint64_t now = ticks_at(segment_.header(), HostClock::now());
  auto joined = registry_.join(now);
  // Each sweep may make room: if not this one, then that of another process, for what this one found taken.
  constexpr int kSweeps = 4;
  for (int i = 0; i < kSweeps && !joined && joined.error().code == Errc::no_space; ++i) {
    sweeper_.sweep();
    joined = registry_.join(now);
  }
  if (joined) {
    no_slot_.clear();
    announce(*joined);
  }
  return joined;
}

ThisWorker::~ThisWorker() {
  if (const auto mine = registry_.self())
    write_event(sections_, {.kind = EventKind::left, .value = mine->slot}, ask_process_mark());
}

void ThisWorker::announce(Identity mine) noexcept {
  const std::uint64_t word = std::uint64_t{mine.generation} << 32 | (mine.slot + 1);
  if (announced_.exchange(word, std::memory_order_relaxed) == word) return;
  remember_process_mark();
  write_event(sections_, {.kind = EventKind::joined, .value = mine.slot});
}

Owner ThisWorker::join_again(std::uint64_t now) noexcept {
  constexpr std::uint64_t kRetry = ticks_from_ns(10'000'000);
  std::uint64_t next = next_join_.load(std::memory_order_relaxed);
  if (now < next || !next_join_.compare_exchange_strong(next, now + kRetry, std::memory_order_relaxed)) {
    return {};
  }
  try {
    const auto joined = join();
    if (joined) {
      next_join_.store(0, std::memory_order_relaxed);
      return joined->owner();
    }
    if (no_slot_.set(joined.error())) {
      log(fmt::format("{}; until then this process gets no permits and probes no breaker",
                      joined.error().message()));
      remember_process_mark();
      write_sparse_event(sections_, {.kind = EventKind::fault, .subject = joined.error().what}, now);
    }
  } catch (const std::exception&) {  // out of memory: as without a slot
  }
  return {};
}

}  // namespace weir::detail

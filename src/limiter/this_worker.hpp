// SPDX-License-Identifier: Apache-2.0
#pragma once

// This process as a worker of a segment: the slot that it holds, or why it holds none.
//
// Whatever a process holds in a segment, it holds in the name of its slot. It claims one when the segment is
// opened, and once more when a call finds that the process has none: the first call after a fork, and the one
// after another process took it for dead. Where all slots are taken, dead workers are swept first. Where that
// does not help, the process goes on without a slot: it gets no permits and probes no breaker, and fault() and
// the log say why. It tries again every 10 ms, so that not every call pays for an attempt that fails.

#include <atomic>
#include <cstdint>
#include <optional>

#include "weir/error.hpp"

#include "base/owner.hpp"
#include "base/result.hpp"
#include "limiter/last_fault.hpp"
#include "limiter/sweeper.hpp"
#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "workers/registry.hpp"

namespace weir::detail {

class ThisWorker {
 public:
  /// `segment` and its `sections` outlive the worker.
  ThisWorker(const Segment& segment, const Sections& sections) noexcept
      : segment_(segment),
        sections_(sections),
        registry_(sections.workers, segment),
        sweeper_(registry_, sections, segment) {}
  /// Writes in the journal that the worker leaves. Then the registry gives its slot back.
  ~ThisWorker();

  /// Claims a slot if the process has none.
  /// Errors  as Registry::join(), after dead workers were swept.
  Result<Identity> join();

  /// The owner in whose name this process takes permits now; an empty Owner if it cannot get a slot.
  [[nodiscard]] Owner owner_at(std::uint64_t now) noexcept {
    const std::optional<Owner> mine = owner();
    return mine ? *mine : join_again(now);
  }
  /// The two steps of owner_at(). The second one costs more.
  [[nodiscard]] std::optional<Owner> owner() const noexcept { return registry_.owner(); }
  [[gnu::noinline]] Owner join_again(std::uint64_t now) noexcept;

  /// Why this process has no slot; nothing if it has one, or has not asked for one yet.
  [[nodiscard]] std::optional<Error> fault() const { return no_slot_.get(); }

  /// Whether something in the segment is still held in the name of this process: by an admission on another
  /// thread of a process that ends by exit(), say. It only looks.
  [[nodiscard]] bool holds_something() const noexcept {
    const auto mine = registry_.self();
    return mine && sweeper_.holds(mine->owner());
  }

  [[nodiscard]] const Registry& registry() const noexcept { return registry_; }
  [[nodiscard]] Sweeper& sweeper() noexcept { return sweeper_; }

 private:
  /// Writes in the journal that this process has joined, once for each slot that it gets.
  void announce(Identity mine) noexcept;

  const Segment& segment_;
  const Sections& sections_;
  Registry registry_;
  Sweeper sweeper_;
  LastFault no_slot_;
  std::atomic<std::uint64_t> next_join_{0};  // ticks; after a failure to join
  std::atomic<std::uint64_t> announced_{
      0};  // {generation 32 | slot + 1: 32}. A child inherits that of its parent
};

}  // namespace weir::detail

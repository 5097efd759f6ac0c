// SPDX-License-Identifier: Apache-2.0
#pragma once

// The queues of a segment, as requests meet them: which waiters concern a request, and which are rung when something
// comes back. The protocol is in docs/waiting.md.

#include <algorithm>
#include <cstdint>

#include "weir/admission.hpp"

#include "limiter/context.hpp"
#include "policy/queues.hpp"
#include "policy/schema.hpp"
#include "primitives/seat.hpp"
#include "primitives/waiting_queue.hpp"

namespace weir::detail {

/// The queues in which waiters may lie that a request concerns: those of its operation, or all if the request shares
/// limits with other operations.
class QueuesOf {
 public:
  QueuesOf(const Sections& sections, const Wants& wants) noexcept
      : sections_(sections), block_(wants.block), all_((wants.what & kOfAllOperations) != Lacks::nothing) {}

  template <class Visit>
  void operator()(Visit&& visit) const noexcept {
    if (!all_ && block_ != kGlobalBlock) visit(queue_of(sections_, block_).waiters);
    // An operation without a queue of its own has its waiters in the global one.
    visit(queue_of(sections_, kGlobalBlock).waiters);
    if (!all_) return;
    for (std::uint32_t i = 0; i < sections_.operations(); ++i)
      visit(queue_of(sections_, kFirstOperation + i).waiters);
  }

 private:
  const Sections& sections_;
  std::uint32_t block_;
  bool all_;
};

/// What a request needs under its limits, whether it is there or not.
[[nodiscard]] Wants needs_of(const Context& context) noexcept;

/// What of it is not there now. A request that lacks something of its user lacks only that: see docs/waiting.md.
[[nodiscard]] Lacks lacks_now(const Context& context, bool quotas) noexcept;

/// What of it is there for another request, which needs one of each.
[[nodiscard]] Lacks left_now(const Context& context) noexcept;

/// The class of a request, from 1 to 5.
[[nodiscard]] inline std::uint32_t urgency_of(const Request& request) noexcept {
  return std::clamp<std::uint32_t>(request.priority, 1, Seated::kClasses);
}

/// Whether a waiter goes before a request that comes now.
[[nodiscard]] bool others_go_first(const Context& context) noexcept;

/// Rings the waiters that lack what came back. Call it after an exchange that gave it back.
void ring_waiters(const Sections& sections, const Wants& came_back, std::uint64_t now) noexcept;
/// The same for the permits of an admission.
void ring_waiters(const Sections& sections, const Holding& given_back, std::uint64_t now) noexcept;

}  // namespace weir::detail

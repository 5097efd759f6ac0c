// SPDX-License-Identifier: Apache-2.0
#pragma once

// A request that waits: what lies between two looks at its limits. The protocol is in docs/waiting.md, its steps are in
// primitives/waiting.hpp.
//
// The loop stands around the decision, not in it: a look decides as any request does. A thread that waits sleeps between
// two looks; a ticket is looked at when its caller asks.

#include <atomic>
#include <chrono>
#include <cstdint>

#include "weir/limiter.hpp"

#include "limiter/impl.hpp"
#include "primitives/waiting.hpp"

namespace weir::detail {

class Waiter {
 public:
  /// @param request  lives as long as the waiter.
  /// @param arrived  when the request came: its age in the queue, and the moment from which its wait counts.
  Waiter(LimiterImpl& impl, Operation operation, const Request& request,
         HostClock::time_point arrived) noexcept
      : impl_(impl), operation_(operation), request_(request), arrived_(arrived) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { leave(); }

  /// Looks whether the request can pass.
  /// @return true: `admission` is the answer, and the waiter has left. false: it waits on.
  [[nodiscard]] bool look(Admission& admission) noexcept;

  /// Sleeps until it is rung, or until it is time to look again.
  void sleep() noexcept;

  /// Ends a sleep(). Any thread may call it.
  void ring() noexcept;

  /// Frees the seat, and lets the next one look.
  void leave() noexcept;

 private:
  struct Limits;

  /// What the limits say at the moment of a context; `decision_` becomes that, too.
  [[nodiscard]] WaiterAnswer answer_of(const Context& context) noexcept;
  /// @return false: it cannot or need not wait; `decision_` says why.
  [[nodiscard]] bool sit(const Context& context) noexcept;
  // These end the wait, and return true.
  bool admitted(Admission& admission) noexcept;
  bool shed(Admission& admission, ShedCause cause) noexcept;
  bool refused(Admission& admission) noexcept;
  /// Whether the seat is that of this process.
  [[nodiscard]] bool is_ours() const noexcept;
  [[nodiscard]] bool stop_requested() const noexcept;
  [[nodiscard]] std::chrono::nanoseconds waited() const noexcept;

  LimiterImpl& impl_;
  Operation operation_;
  const Request& request_;
  HostClock::time_point arrived_;
  HostClock::time_point deadline_;
  Decision decision_{Verdict::invalid, LimitId::none, {}};  // the refusal of the last look
  LimitId waits_for_ = LimitId::none;  // the limit that a refusal names if no look has found one
  Waiting waiting_;
  std::atomic<Seat*> seat_{nullptr};  // for ring(); stays when the waiter has left
};

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "weir/admission.hpp"
#include "weir/export.hpp"

namespace weir {

namespace detail {
class WaitingTicket;
}  // namespace detail

/// A request that waits in the queue of its operation without a thread that sleeps: for event loops.
///
///     weir::Ticket ticket = limiter.enqueue(captions, {.user = user, .wait = weir::kAsConfigured});
///     // every few milliseconds:
///     if (auto admission = ticket.poll()) begin(std::move(*admission));
///
/// It has its seat, or its answer, from the beginning. Poll it by a timer, every 5 ms. If it is not polled for 100 ms, or for 2 ms when the request after it could pass,
/// that one goes first; the ticket keeps its age. Destroy it to leave the queue.
///
/// Concurrency  One thread at a time may use a ticket. It must not outlive its Limiter.
/// Crash        If the process is killed, the next sweep frees the seat. The copy that a fork makes in a child is
///              answered `shed`, and leaves the parent's seat alone.
class [[nodiscard]] WEIR_EXPORT Ticket {
 public:
  explicit Ticket(std::unique_ptr<detail::WaitingTicket> waiting) noexcept;
  Ticket(Ticket&&) noexcept;
  Ticket& operator=(Ticket&&) noexcept;
  ~Ticket();

  /// Looks whether the request can pass.
  /// @return  the answer, once: admitted or refused. Nothing: it waits on, or its answer was given before.
  /// Cost     As `admit`, and a look at the seats of the queue.
  [[nodiscard]] std::optional<Admission> poll() noexcept;

  /// Whether poll() has not given the answer yet.
  [[nodiscard]] bool waits() const noexcept;

 private:
  std::unique_ptr<detail::WaitingTicket> waiting_;
};

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "weir/ticket.hpp"

#include "binding/waiting_ticket.hpp"

namespace weir {

Ticket::Ticket(std::unique_ptr<detail::WaitingTicket> waiting) noexcept : waiting_(std::move(waiting)) {}
Ticket::Ticket(Ticket&&) noexcept = default;
Ticket& Ticket::operator=(Ticket&&) noexcept = default;
Ticket::~Ticket() = default;

std::optional<Admission> Ticket::poll() noexcept {
  return waiting_ != nullptr ? waiting_->poll() : std::nullopt;
}

bool Ticket::waits() const noexcept {
  return waiting_ != nullptr && waiting_->waits();
}

}  // namespace weir

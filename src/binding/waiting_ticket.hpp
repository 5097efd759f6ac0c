// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a Ticket holds: a request of its own, and the waiter that looks for it.

#include <optional>
#include <stop_token>
#include <string>

#include "weir/limiter.hpp"

#include "binding/segment_binding.hpp"
#include "limiter/waiter.hpp"

namespace weir::detail {

class WaitingTicket {
  /// The time of an admission that returns where another one would sleep.
  struct DoesNotSleep : TimePasses {};

 public:
  WaitingTicket(SegmentBinding& binding, Operation operation, const Request& request)
      : binding_(binding),
        operation_(operation),
        user_(request.user),
        request_(request),
        arrived_(HostClock::now()) {
    request_.user = user_;
    if (request.stop.get() != nullptr) request_.stop = StopRef(stop_.emplace(*request.stop.get()));
    // The first decision is that of any request: it passes if no waiter goes before it.
    Admission first = binding_.admit(operation_, request_, DoesNotSleep{});
    if (first || request_.wait.count() <= 0) {
      first_answer_.emplace(std::move(first));
    } else {
      first_answer_ = look();  // takes a seat
    }
  }
  WaitingTicket(const WaitingTicket&) = delete;
  WaitingTicket& operator=(const WaitingTicket&) = delete;

  [[nodiscard]] bool waits() const noexcept { return !answered_; }

  [[nodiscard]] std::optional<Admission> poll() noexcept {
    if (answered_) return std::nullopt;
    if (first_answer_) {
      answered_ = true;
      return std::move(first_answer_);
    }
    std::optional<Admission> answer = look();
    answered_ = answer.has_value();
    return answer;
  }

 private:
  [[nodiscard]] std::optional<Admission> look() noexcept {
    LimiterImpl& current = binding_.settled();
    if (&current != impl_) {
      // The segment was replaced: the request goes on in the new one, at its age.
      impl_ = &current;
      waiter_.emplace(current, operation_, request_, arrived_);
    }
    Admission admission{Decision{}};
    if (!waiter_->look(admission)) return std::nullopt;
    return admission;
  }

  SegmentBinding& binding_;
  Operation operation_;
  std::string user_;
  std::optional<std::stop_token> stop_;
  Request request_;
  HostClock::time_point arrived_;
  std::optional<Admission> first_answer_;
  bool answered_ = false;
  LimiterImpl* impl_ = nullptr;
  std::optional<Waiter> waiter_;
};

}  // namespace weir::detail

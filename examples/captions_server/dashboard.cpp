// SPDX-License-Identifier: Apache-2.0
#include "dashboard.hpp"

#include <chrono>
#include <cstdint>
#include <string>

#include "weir/fields.hpp"

namespace captions {
namespace {

constexpr double kMostErrors = 0.10;        // of the calls of the last minute
constexpr std::uint64_t kEnoughCalls = 20;  // fewer say little

Json part_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? Json(nullptr) : Json(static_cast<double>(part) / static_cast<double>(whole));
}

Json mean_of(std::chrono::nanoseconds time, std::uint64_t calls) {
  return calls == 0 ? Json(nullptr)
                    : Json(std::chrono::duration<double>(time).count() / static_cast<double>(calls));
}

Json operation_of(const weir::OperationStatus& operation) {
  const std::uint64_t ended = operation.minute_succeeded + operation.minute_failed;
  return {{"total_requests", operation.requests()},
          {"successful_requests", operation.succeeded},
          {"failed_requests", operation.failed},
          {"throttled_requests", operation.throttled},
          {"blocked_requests", operation.blocked},
          {"shed_requests", operation.shed},
          {"circuit_open_requests", operation.circuit_open},
          {"never_requests", operation.never},
          {"in_flight", operation.in_flight},
          {"average_response_time", mean_of(operation.time, operation.timed)},
          {"peak_response_time", std::chrono::duration<double>(operation.peak).count()},
          {"error_rate", part_of(operation.minute_failed, ended)},
          {"last_request",
           operation.last_request ? Json(weir::utc_text(*operation.last_request)) : Json(nullptr)}};
}

Json overall_of(const weir::Snapshot& snapshot) {
  weir::OperationStatus sum;
  std::uint64_t requests = 0;
  for (const weir::OperationStatus& operation : snapshot.operations) {
    requests += operation.requests();
    sum.succeeded += operation.succeeded;
    sum.failed += operation.failed;
    sum.time += operation.time;
    sum.timed += operation.timed;
  }
  return {{"total_requests", requests},
          {"success_rate", part_of(sum.succeeded, sum.succeeded + sum.failed)},
          {"average_response_time", mean_of(sum.time, sum.timed)}};
}

/// Operations that fail too often, and those whose breaker refuses or probes.
Json alerts_of(const weir::Snapshot& snapshot) {
  Json alerts = Json::array();
  const auto add = [&](const std::string& operation, const char* type, const Json& value) {
    alerts.push_back({{"operation", operation}, {"type", type}, {"value", value}});
  };
  for (const weir::OperationStatus& operation : snapshot.operations) {
    const std::uint64_t ended = operation.minute_succeeded + operation.minute_failed;
    const double rate = operation.error_rate().value_or(0);
    if (ended >= kEnoughCalls && rate > kMostErrors) add(operation.name, "error_rate", rate);
  }
  for (const weir::BreakerStatus& breaker : snapshot.breakers) {
    if (weir::kBreakers.needs_attention(breaker))
      add(breaker.operation, "breaker", std::string(weir::to_string(breaker.state)));
  }
  return alerts;
}

}  // namespace

Json dashboard_of(const weir::Snapshot& snapshot) {
  Json by_operation = Json::object();
  for (const weir::OperationStatus& operation : snapshot.operations)
    by_operation[operation.name] = operation_of(operation);
  return {{"timestamp", weir::utc_text(std::chrono::system_clock::now())},
          {"overall", overall_of(snapshot)},
          {"by_operation", by_operation},
          {"alerts", alerts_of(snapshot)}};
}

}  // namespace captions

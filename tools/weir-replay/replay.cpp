// SPDX-License-Identifier: Apache-2.0
#include "replay.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <numeric>
#include <stdexcept>

namespace weir::replay {
namespace {

using Nanos = std::chrono::nanoseconds;

void without_permits(Limits& limits) {
  limits.concurrent = {};
}

void without_permits_and_breaker(OperationPolicy& policy) {
  without_permits(policy.shared);
  without_permits(policy.user);
  policy.breaker.reset();
}

// The lengths of all windows of a configuration.
std::vector<Nanos> window_lengths(const Config& config) {
  std::vector<Nanos> lengths;
  const auto add = [&](const Limits& limits) {
    for (const Window& window : limits.windows) lengths.push_back(window.length);
  };
  add(config.global.shared);
  add(config.global.user);
  for (const auto& [name, policy] : config.operations) add(policy.shared), add(policy.user);
  for (const auto& [name, user] : config.users) add(user.limits);
  return lengths;
}

// The time at which the limiter's clock begins. It is not long before the first request, and a multiple of a
// day and of all windows, so that windows which are counted from there are aligned with the calendar of UTC.
LogTime beginning_of(const Config& config, LogTime first) {
  constexpr Nanos kLongest = std::chrono::days(120);  // a segment serves this much longer than kLongestLog
  Nanos unit = std::chrono::days(1);
  for (const Nanos length : window_lengths(config)) {
    const Nanos of_both(length.count() / std::gcd(length.count(), unit.count()));
    if (of_both.count() <= kLongest / unit) unit *= of_both.count();
  }
  return LogTime(first.time_since_epoch() / unit * unit);
}

void write_decision(const Scenario& scenario, const TimedRequest& request, const Decision& decision) {
  fmt::memory_buffer text;
  const auto out = std::back_inserter(text);
  if (scenario.logs.size() > 1) fmt::format_to(out, "{}:", scenario.logs[request.log].name());
  fmt::format_to(out, "{} {} {} {}\n", request.line, to_string(decision.verdict),
                 name_of(scenario.limiter, decision.limit), decision.retry_after.count());
  if (std::fwrite(text.data(), 1, text.size(), scenario.decisions) != text.size()) {
    throw std::runtime_error(fmt::format("decisions: {}", std::strerror(errno)));
  }
}

}  // namespace

Config without_permits_and_breakers(Config config) {
  without_permits_and_breaker(config.global);
  for (auto& operation : config.operations) without_permits_and_breaker(operation.second);
  for (auto& user : config.users) without_permits(user.second.limits);
  return config;
}

Limiter open_limiter(const Config& config, LogTime first) {
  const LogTime beginning = beginning_of(config, first);
  Result<Limiter> limiter = Limiter::open_private(
      config, {.at = HostClock::time_point(beginning.time_since_epoch()), .wall = beginning, .seed = 1});
  if (!limiter) throw std::runtime_error(limiter.error().message());
  return *std::move(limiter);
}

void decide(const Scenario& scenario, std::span<const TimedRequest> requests, Tally& tally) {
  for (const TimedRequest& request : requests) {
    const Admission admission = scenario.limiter.admit_at(
        HostClock::time_point(request.time.time_since_epoch()), scenario.operations[request.operation],
        {.user = scenario.names[request.user]});
    tally.count(request.user, request.operation, admission.decision());
    if (scenario.decisions != nullptr) write_decision(scenario, request, admission.decision());
  }
}

std::string name_of(const Limiter& limiter, LimitId limit) {
  std::string name = limiter.limit_name(limit);
  return name.empty() ? "-" : name;
}

}  // namespace weir::replay

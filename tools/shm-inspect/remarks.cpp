// SPDX-License-Identifier: Apache-2.0
#include "remarks.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace weir::shm_inspect {
namespace {

using std::chrono::nanoseconds;

double in_seconds(nanoseconds length) {
  return std::chrono::duration<double>(length).count();
}

std::uint32_t enforced(const Concurrency& concurrent) {
  return concurrent.shadow ? 0 : concurrent.limit;
}

/// What a request can lack that comes back.
struct Lacking {
  bool permits = false;
  bool quotas = false;  ///< tokens, or room in a window

  void add(const Limits& limits) {
    const auto is_enforced = [](const auto& limit) { return limit.mode == Mode::enforced; };
    permits = permits || enforced(limits.concurrent) != 0;
    quotas = quotas || std::ranges::any_of(limits.rates, is_enforced) ||
             std::ranges::any_of(limits.windows, is_enforced);
  }
  void add(const OperationPolicy& policy) {
    add(policy.shared);
    add(policy.user);
  }
};

/// How many requests a limit admits within a time at most.
struct Bound {
  double requests;
  std::string limit;
};
void lower(std::optional<Bound>& least, double requests, std::string limit) {
  if (!least || requests < least->requests) least = Bound{requests, std::move(limit)};
}

/// The lowest of the bounds that quotas over all users set.
void lower_by(std::optional<Bound>& least, const Limits& limits, const std::string& scope, nanoseconds time) {
  for (const Rate& rate : limits.rates) {
    if (rate.mode != Mode::enforced) continue;
    const double earned = static_cast<double>(rate.count) * in_seconds(time) / in_seconds(rate.period);
    lower(least, rate.burst + std::floor(earned), fmt::format("{}.rate \"{}\"", scope, format_rate(rate)));
  }
  for (const Window& window : limits.windows) {
    if (window.mode != Mode::enforced) continue;
    // A fixed window may end and another begin within the time, however short it is.
    const double windows = std::floor(in_seconds(time) / in_seconds(window.length)) + 2;
    lower(least, window.limit * windows, fmt::format("{}.window \"{}\"", scope, format_window(window)));
  }
}

/// One queue, with the limits that all its waiters have in common.
struct Case {
  std::string scope;
  const Queue& queue;
  Lacking lacking{};             ///< what a request in it can lack
  std::optional<Bound> quota{};  ///< how many can pass within its timeout
  std::uint32_t concurrent = 0;  ///< how many can be in progress at once; 0: they do not share a limit
  nanoseconds slow_call{0};      ///< a call that takes longer is slow; 0: not known
};

std::optional<Remark> remark_on(const Case& one) {
  const Queue& queue = one.queue;
  const std::string timeout = format_exact_duration(queue.timeout);
  const auto remark = [&](bool warning, std::string text) {
    return Remark{one.scope + ".queue", warning, std::move(text)};
  };
  if (!one.lacking.permits && !one.lacking.quotas) {
    return remark(true,
                  "requests never wait here, since no rate, window or concurrency limit could make them; "
                  "add concurrent, or leave queue out");
  }
  if (one.quota && one.quota->requests < queue.seats) {
    return remark(true,
                  fmt::format("of {} waiters at most {:.0f} can pass within the timeout of {}, because of "
                              "{}: the others can only wait to be refused",
                              queue.seats, one.quota->requests, timeout, one.quota->limit));
  }
  if (!one.lacking.permits) {
    return remark(false,
                  "without a concurrency limit, only requests that also wait for rates use this queue");
  }
  if (one.concurrent == 0) return std::nullopt;
  const double share = static_cast<double>(queue.seats) / one.concurrent;
  const auto times = [](nanoseconds length, double by) {
    return format_duration(nanoseconds(static_cast<std::int64_t>(static_cast<double>(length.count()) * by)));
  };
  if (one.slow_call.count() != 0 && in_seconds(one.slow_call) * share > in_seconds(queue.timeout)) {
    return remark(
        true,
        fmt::format("if calls take {}, which breaker.slow_call allows, the last of {} waiters can "
                    "pass after {}, and the timeout is {}",
                    format_exact_duration(one.slow_call), queue.seats, times(one.slow_call, share), timeout));
  }
  return remark(false,
                fmt::format("the last of {} waiters passes within the timeout of {} only if the work takes "
                            "less than {} on average",
                            queue.seats, timeout, times(queue.timeout, 1 / share)));
}

std::string operation_key(const std::string& name) {
  return name.find('.') == name.npos ? "operations." + name : fmt::format("operations.\"{}\"", name);
}

}  // namespace

std::vector<Remark> remarks_on(const Config& config) {
  std::vector<Remark> remarks;
  const auto add = [&](const Case& one) {
    if (one.queue.seats == 0) return;
    if (std::optional<Remark> remark = remark_on(one)) remarks.push_back(*std::move(remark));
  };
  const OperationPolicy& global = config.global;
  Lacking everywhere;
  everywhere.add(global);
  for (const auto& [name, user] : config.users) everywhere.add(user.limits);

  Case in_global{"global", global.queue, everywhere};
  for (const auto& [name, policy] : config.operations) {
    if (policy.queue.seats == 0) in_global.lacking.add(policy);
  }
  lower_by(in_global.quota, global.shared, in_global.scope, global.queue.timeout);
  in_global.concurrent = enforced(global.shared.concurrent);
  add(in_global);

  for (const auto& [name, policy] : config.operations) {
    Case own{operation_key(name), policy.queue, everywhere};
    own.lacking.add(policy);
    lower_by(own.quota, policy.shared, own.scope, policy.queue.timeout);
    lower_by(own.quota, global.shared, in_global.scope, policy.queue.timeout);
    own.concurrent = enforced(policy.shared.concurrent);
    if (in_global.concurrent != 0)
      own.concurrent =
          own.concurrent == 0 ? in_global.concurrent : std::min(own.concurrent, in_global.concurrent);
    if (policy.breaker) own.slow_call = policy.breaker->slow_call;
    add(own);
  }
  return remarks;
}

}  // namespace weir::shm_inspect

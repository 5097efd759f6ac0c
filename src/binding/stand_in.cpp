// SPDX-License-Identifier: Apache-2.0
#include "binding/stand_in.hpp"

#include <algorithm>

#include "binding/create.hpp"

namespace weir::detail {
namespace {

void divide(Limits& limits, std::uint32_t by) {
  const auto share = [by](std::uint32_t limit) { return limit == 0 ? 0 : std::max(1U, limit / by); };
  for (Rate& rate : limits.rates) {
    rate.period *= by;
    rate.burst = share(rate.burst);
    rate.lease.reset();  // of the part it may be too much
  }
  for (Window& window : limits.windows) window.limit = share(window.limit);
  limits.concurrent.limit = share(limits.concurrent.limit);
  limits.concurrent.candidate = share(limits.concurrent.candidate);
}

/// What a process decides by while it is alone.
Config stand_in_for(const Config& config) {
  Config alone = config;
  alone.segment.key_names = 0;
  alone.segment.group.clear();  // no other user shares it
  if (config.segment.on_fault == OnFault::admit) {
    alone.global = {};
    for (auto& operation : alone.operations) operation.second = {};
    alone.users.clear();
    alone.segment.users = 1;
    return alone;
  }
  const auto divide_all = [by = config.segment.local_workers](OperationPolicy& policy) {
    divide(policy.shared, by);
    divide(policy.user, by);
  };
  divide_all(alone.global);
  for (auto& operation : alone.operations) divide_all(operation.second);
  for (auto& user : alone.users) divide(user.second.limits, config.segment.local_workers);
  return alone;
}

}  // namespace

Result<Segment> publish_stand_in(const Config& config) {
  Config alone = stand_in_for(config);
  for (;;) {
    auto segment = publish_segment(alone, "");
    if (segment || alone.segment.users == 1) return segment;
    alone.segment.users = std::max<std::uint64_t>(1, alone.segment.users / 8);
  }
}

}  // namespace weir::detail

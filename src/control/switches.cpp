// SPDX-License-Identifier: Apache-2.0
#include "control/switches.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace weir {
namespace detail {
namespace {

constexpr std::string_view kOperations = "operations.";
constexpr std::string_view kState = ".breaker.state";
constexpr std::array kSwitches{BreakerSwitch::automatic, BreakerSwitch::forced_open,
                               BreakerSwitch::forced_closed, BreakerSwitch::disabled,
                               BreakerSwitch::metrics_only};

}  // namespace

std::string switch_key(std::string_view operation) {
  return fmt::format("{}{}{}", kOperations, operation, kState);
}

std::optional<std::string_view> switched_operation(std::string_view key) {
  if (key.size() <= kOperations.size() + kState.size() || !key.starts_with(kOperations) ||
      !key.ends_with(kState))
    return std::nullopt;
  return key.substr(kOperations.size(), key.size() - kOperations.size() - kState.size());
}

BreakerSwitch switch_named(std::string_view name) {
  const auto found = std::find_if(kSwitches.begin(), kSwitches.end(),
                                  [&](BreakerSwitch position) { return to_string(position) == name; });
  return found == kSwitches.end() ? BreakerSwitch::automatic : *found;
}

}  // namespace detail

std::string_view to_string(BreakerSwitch position) noexcept {
  switch (position) {
    case BreakerSwitch::forced_open:
      return "forced_open";
    case BreakerSwitch::forced_closed:
      return "forced_closed";
    case BreakerSwitch::disabled:
      return "disabled";
    case BreakerSwitch::metrics_only:
      return "metrics_only";
    case BreakerSwitch::automatic:
      break;
  }
  return "automatic";
}

}  // namespace weir

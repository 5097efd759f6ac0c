// SPDX-License-Identifier: Apache-2.0
#pragma once

// The operator's switch of a breaker. The history records it as a change of the key operations.NAME.breaker.state.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "weir/control.hpp"

namespace weir::detail {

/// Switches of breakers, by operation.
using Switches = std::map<std::string, BreakerSwitch, std::less<>>;

[[nodiscard]] std::string switch_key(std::string_view operation);
/// The operation whose switch a key names; nothing if it is not a switch.
[[nodiscard]] std::optional<std::string_view> switched_operation(std::string_view key);
/// The position of a switch that has this name in the history; any other text means `automatic`.
[[nodiscard]] BreakerSwitch switch_named(std::string_view name);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Compiles a Config to values for the records of a block.

#include <array>
#include <cstdint>
#include <optional>

#include "weir/policy.hpp"

#include "policy/blocks.hpp"

namespace weir::detail {

/// The value that a configuration gives to one record.
struct LimitValue {
  std::uint64_t params = 0;  ///< 0: no limit
  std::uint64_t count = 0;   ///< for a rate: its count and period as they were written
  std::uint64_t period = 0;
  Mode mode = Mode::enforced;
  std::uint32_t order = 0;    ///< in its list
  std::uint32_t heir_of = 0;  ///< see Listing
  std::optional<std::uint32_t> lease{};

  friend bool operator==(const LimitValue&, const LimitValue&) = default;
};

using BlockValue = std::array<LimitValue, kBlockLimits>;

/// The same configuration with its defaults written out, as load_config() returns it.
[[nodiscard]] Config canonical(Config config);

/// Expects a policy that has passed validate().
[[nodiscard]] BlockValue compile(const OperationPolicy& policy);
[[nodiscard]] BlockValue compile(const UserOverride& user);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Compiles the words of the blocks to plans. It only reads, and a damaged segment yields a plan that stays in bounds.

#include <cstdint>

#include "plan/lease_pool.hpp"
#include "plan/plan.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// Compiles the plan of the operation in `block`. While a live change is written, some of its limits may be old ones
/// and others new ones.
/// @param leases  of this process.
[[nodiscard]] Plan compile_plan(const Sections& sections, std::uint32_t block, std::uint32_t handle,
                                LeasePool& leases) noexcept;

/// Compiles the limits of a user that has limits of its own.
/// @param block  the block of the user; a retired one has no limits.
[[nodiscard]] UserSteps compile_override(const Sections& sections, std::uint32_t block) noexcept;

}  // namespace weir::detail

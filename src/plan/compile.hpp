// SPDX-License-Identifier: Apache-2.0
#pragma once

// From the words of the blocks to plans. Reads only; what a damaged segment says becomes a plan that stays in
// bounds.

#include <cstdint>

#include "plan/plan.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// The plan of the operation in `block`, under the limits as they stand. While a live change is written, some
/// of them may be the old ones and some the new ones.
[[nodiscard]] Plan compile_plan(const Sections& sections, std::uint32_t block, std::uint32_t handle) noexcept;

/// The limits of a user with limits of its own.
/// @param block  of the user; that of an override which was taken out has no limits.
[[nodiscard]] UserSteps compile_override(const Sections& sections, std::uint32_t block) noexcept;

}  // namespace weir::detail

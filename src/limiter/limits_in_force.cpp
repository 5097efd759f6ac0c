// SPDX-License-Identifier: Apache-2.0
#include "limiter/limits_in_force.hpp"

#include "limiter/decide.hpp"
#include "plan/compile.hpp"

namespace weir::detail {

Plan LimitsInForce::compile(Operation operation, std::uint32_t block, std::uint64_t turn) noexcept {
  const auto handle = static_cast<std::uint32_t>(operation);
  Plan plan = compile_plan(sections_, block, handle, leases_);
  choose_ways(plan);
  if (stood_still(sections_.control->turn, turn)) plans_.keep(handle % kMaxOperations, plan, turn);
  return plan;
}

UserSteps LimitsInForce::compile_override(std::uint32_t block, std::uint64_t turn) noexcept {
  const UserSteps steps = detail::compile_override(sections_, block);
  if (stood_still(sections_.control->turn, turn))
    overrides_.keep((block - kFirstOverride) % kMaxOverrides, steps, turn);
  return steps;
}

}  // namespace weir::detail

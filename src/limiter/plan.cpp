#include "limiter/plan.hpp"

namespace weir::detail {
namespace {

bool applies(const LimitRecord& limit, std::uint16_t operation) {
  return limit.operation == kGlobal || limit.operation == operation;
}

}  // namespace

// The records come global first, so each operation's list does too.
Plan::Plan(const Records& records, std::span<SharedState> states) : limits(records.limits) {
  for (const LimitRecord& limit : limits) limit_names.push_back(records.name(limit));
  for (std::uint16_t operation = 0; operation < records.operations.size(); ++operation) {
    by_name.emplace(records.operations[operation].name.data(), operation);
    OperationPlan& plan = operations.emplace_back();
    for (std::uint16_t i = 0; i < limits.size(); ++i) {
      const LimitRecord& limit = limits[i];
      if (!applies(limit, operation)) continue;
      const LimitId id{static_cast<std::uint16_t>(i + 1)};
      if (limit.scope == LimitScope::shared) {
        plan.shared.push_back({limit.token_bucket(), &states[limit.state].bucket, id});
      } else {
        plan.user.push_back({limit.token_bucket(), id});
      }
    }
  }
}

}  // namespace weir::detail

#include "limiter/plan.hpp"

namespace weir::detail {
namespace {

bool applies(const LimitRecord& limit, std::uint16_t operation) {
  return limit.operation == kGlobal || limit.operation == operation;
}

void add(OperationPlan& plan, const LimitRecord& limit, LimitId id, std::span<SharedState> states,
         std::span<Word> cells) {
  const bool shared = limit.scope == LimitScope::shared;
  if (limit.kind == LimitKind::permits && shared) {
    plan.shared_bulkheads.push_back(
        {Permits(cells.subspan(limit.state, limit.permits())), limit.permits(), id});
  } else if (limit.kind == LimitKind::permits) {
    plan.user_bulkheads.push_back({limit.permits(), limit.parts(), id});
  } else if (shared) {
    plan.shared_rates.push_back({limit.token_bucket(), &states[limit.state].bucket, id});
  } else {
    plan.user_rates.push_back({limit.token_bucket(), id});
  }
}

}  // namespace

// The records come global first, so each operation's lists do too.
Plan::Plan(const Records& records, std::span<SharedState> states, std::span<Word> cells)
    : limits(records.limits) {
  for (const LimitRecord& limit : limits) {
    limit_names.push_back(records.name(limit));
    has_user_bulkheads |= limit.kind == LimitKind::permits && limit.scope == LimitScope::user;
  }
  for (std::size_t i = 0; i < records.operations.size(); ++i) {
    const auto operation = static_cast<std::uint16_t>(i);
    by_name.emplace(records.operations[i].name.data(), operation);
    OperationPlan& plan = operations.emplace_back();
    std::uint16_t id = 0;
    for (const LimitRecord& limit : limits) {
      ++id;
      if (applies(limit, operation)) add(plan, limit, LimitId{id}, states, cells);
    }
  }
}

}  // namespace weir::detail

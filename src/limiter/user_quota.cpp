// SPDX-License-Identifier: Apache-2.0
#include "limiter/user_quota.hpp"

#include "limiter/afterwards.hpp"
#include "limiter/user_changes.hpp"
#include "users/names.hpp"

namespace weir::detail {

std::uint64_t UserQuota::spend_again(const Context& context, const UserQuotaStep& step,
                                     bool is_new) noexcept {
  const Spend change{{UserChangeBase(context), LimitRef::of(step.id), context.request.cost}};
  switch (context.user_table.update(context.key, entry_of(step.id), change)) {
    case UserTable::Outcome::changed:
      if (const std::span<NameSlot> names = context.sections.names; is_new && !names.empty())
        NameTable(names).remember(UserTable::tag_hash(context.user), context.request.user);
      return 0;
    case UserTable::Outcome::declined:
      return change.wait;
    case UserTable::Outcome::full:
      break;
  }
  if (passes_when_full(context)) return 0;
  const bool only_permits = change.least_debt == kPinned || change.least_debt == 0;
  return only_permits ? 1 : change.least_debt;
}

}  // namespace weir::detail

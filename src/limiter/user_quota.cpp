#include "limiter/user_quota.hpp"

#include "users/names.hpp"

namespace weir::detail {

std::uint64_t UserQuota::spend_unusual(const Context& context, UserTable::Outcome outcome, std::uint64_t wait,
                                       std::uint64_t least_debt) noexcept {
  switch (outcome) {
    case UserTable::Outcome::changed: {
      const std::span<NameSlot> names = context.sections.names;
      if (!names.empty()) NameTable(names).remember(UserTable::tag_hash(context.ask.user), context.ask.name);
      return 0;
    }
    case UserTable::Outcome::declined:
      return wait;
    case UserTable::Outcome::full:
      break;
  }
  if (passes_when_full(context)) return 0;
  const bool only_permits = least_debt == kPinned || least_debt == 0;
  return only_permits ? 1 : least_debt;
}

}  // namespace weir::detail

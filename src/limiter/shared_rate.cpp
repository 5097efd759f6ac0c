// SPDX-License-Identifier: Apache-2.0
#include "limiter/shared_rate.hpp"

namespace weir::detail {

std::uint64_t SharedRate::wait_while_leased(const RateStep& step, std::uint64_t tat, std::uint64_t now,
                                            std::uint32_t cost) noexcept {
  return gcra::wait(step.rate, tat + step.terms.length, now, cost);
}

std::uint64_t SharedRate::spend_again(const RateStep& step, std::uint64_t now, std::uint32_t cost) noexcept {
  return TokenBucket(step.record->state).admit(step.rate, now, cost);
}

std::uint64_t SharedRate::spend_otherwise(const Context& context, const RateStep& step, std::uint32_t cost,
                                          bool lost) noexcept {
  if (!step.terms.any()) return spend_again(step, context.now, cost);
  Lease* const lease = context.lease_of(step);
  if (lease == nullptr) return step.leased_bucket().admit(context.now, cost);
  const std::uint64_t seen = lease->word();
  if (Lease::covers(seen, context.now, cost) && lease->spend(seen, cost)) return 0;
  if (lost) lease->lost_an_exchange(step.terms, context.now);
  return lease->size(step.terms) == 0 ? step.leased_bucket().admit(context.now, cost)
                                      : step.leased_bucket().lease(*lease, context.now, cost);
}

}  // namespace weir::detail

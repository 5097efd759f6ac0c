// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/admission.hpp"

#include "limiter/context.hpp"

namespace weir::detail {

/// Charges the limits that only count (shadow, candidate), after all is decided: each as if it were the only
/// one. Counts those that would have refused.
void count_only(const Context& context, bool admitted, Holding& holding) noexcept;

}  // namespace weir::detail

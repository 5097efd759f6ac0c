// SPDX-License-Identifier: Apache-2.0
#pragma once

// One decision over all limits of a request: look at every limit, then charge them all, or none.
//
// Looking only loads, and works out what each word would become. If any limit refuses, the one that takes
// longest is the answer. Charging exchanges what was seen for that, and decides again where another process was
// faster. Its order is fixed: rates over all users, permits, the breaker's probe, the limits of the user, and last
// the windows over all users, which cannot be given back exactly. The rates over all users are looked at last and
// charged first: every request writes those words, and what was seen of them a moment ago is likely to be still
// there. If a limit refuses after all, because another process was faster, what was charged is given back. Until then
// other requests may be refused for it, which errs on the side of refusing.
//
// Crash  killed while charging: permits and probes are swept; tokens charged so far are spent for nothing,
//        and time refills them.

#include "weir/admission.hpp"
#include "weir/decision.hpp"

#include "limiter/context.hpp"

namespace weir::detail {

/// Decides by any plan. Plans of the usual shapes are decided by the same code, compiled for a known number of limits
/// of each kind and for requests of cost and weight 1 by a worker with a slot: see Shape.
/// @param decision  says "admitted" when it comes in; of a refusal it is the answer.
/// @param holding   receives what an admission has to give back.
[[nodiscard]] Answer decide(const Context& context, Decision& decision, Holding& holding) noexcept;

/// The same, unless the operation has a queue and a waiter goes before the request: then it is shed.
[[nodiscard]] Answer decide_in_turn(const Context& context, Decision& decision, Holding& holding) noexcept;

/// Chooses Plan::decide_for_user and decide_for_nobody.
void choose_ways(Plan& plan) noexcept;

/// Takes an admission back: it was decided by limits that have changed since. `context` as it was decided.
void take_back(const Context& context, Answer answer, Holding& holding) noexcept;

/// What `decide` would answer. Only loads.
[[nodiscard]] Decision peek(const Context& context) noexcept;
/// What `decide_in_turn` would answer. Only loads.
[[nodiscard]] Decision peek_in_turn(const Context& context) noexcept;

}  // namespace weir::detail

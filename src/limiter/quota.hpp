// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/decision.hpp"

#include "policy/schema.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What is left of one rate or window.
[[nodiscard]] Quota quota_of(const Sections& sections, const UserTable& users, const UserKey& key,
                             LimitRef ref, std::uint64_t now);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Decides which record of a block each limit of a list takes.
//
// What is owed under a limit lies in its record, and in entries of users that name the record. So a limit keeps its
// record when it moves in the list, and also when its value changes. It takes the first of these that there is:
//
//   1. a record that has its value now; of two, the one that has its mode as well
//   2. a record that had its value when it was taken out: the limit comes back with what is still owed
//   3. the record of the limit that it replaces: of those that are left, the one nearest in length
//   4. a record that was never used, or else the one that was taken out longest ago
//
// A changed window over all callers may be unable to go on with the counts of record 3 (it has another kind or
// length, or needs more times than there are cells). It then takes a record of rule 4 and is the heir of record 3:
// write_block() carries the counts over.

#include "base/result.hpp"
#include "policy/compile.hpp"

namespace weir::detail {

/// Returns `value` with each limit at the index of the record that it takes.
/// Errors  Errc::no_space: more windows change their length or kind than there are spare records.
[[nodiscard]] Result<BlockValue> line_up(const Block& block, const BlockValue& value);

/// Whether a window over all callers can go on with the counts of `record` under other params.
[[nodiscard]] bool goes_on(const LimitRecord& record, std::uint64_t params) noexcept;

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which record of a block each limit of a list takes.
//
// What a limit is owed lies in its record, and in entries of users that name the record. So a limit keeps its
// record wherever it stands in the list, and a changed one keeps it too. In this order:
//
//   1. the record that says the same now; of two, the one of the same mode
//   2. one that said the same when it was taken out: it comes back with what is still owed
//   3. the record of the limit that it is a change of: of those that are left, the one nearest in length
//   4. a record that was never used, else the one that was taken out longest ago
//
// A window over all callers whose books the new value cannot go on with (another kind or length, more times
// than it has cells) is the heir of record 3, in a record of 4: write_block() carries its books over.

#include "base/result.hpp"
#include "policy/compile.hpp"

namespace weir::detail {

/// `value` with each limit in the record that it takes.
/// Errors  Errc::no_space: more windows are to become others than there are records to spare.
[[nodiscard]] Result<BlockValue> line_up(const Block& block, const BlockValue& value);

/// Whether a window over all callers can go on with the books of `record` under other params.
[[nodiscard]] bool goes_on(const LimitRecord& record, std::uint64_t params) noexcept;

}  // namespace weir::detail

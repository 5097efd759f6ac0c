#pragma once

// Which line of a block each limit of a list takes.
//
// What a limit is owed lies in its line, and in entries of users that name the line. So a limit keeps its
// line wherever it stands in the list, and a changed one keeps it too. In this order:
//
//   1. the line that says the same now; of two, the one of the same mode
//   2. one that said the same when it was taken out: it comes back with what is still owed
//   3. the line of the limit that it is a change of: of those that are left, the one nearest in length
//   4. a line that was never used, else the one that was taken out longest ago
//
// A window over all callers whose books the new value cannot go on with (another kind or length, more times
// than it has cells) is the heir of line 3, in a line of 4: write_block() carries its books over.

#include "base/expected.hpp"
#include "policy/compile.hpp"

namespace weir::detail {

/// `value` with each limit in the line that it takes.
/// Errors  Errc::no_space: more windows are to become others than there are lines to spare.
[[nodiscard]] Expected<BlockValue> line_up(const Block& block, const BlockValue& value);

/// Whether a window over all callers can go on with the books of `line` under other params.
[[nodiscard]] bool goes_on(const LimitLine& line, std::uint64_t params) noexcept;

}  // namespace weir::detail

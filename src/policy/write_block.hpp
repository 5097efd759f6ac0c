// SPDX-License-Identifier: Apache-2.0
#pragma once

// A live change of one block: what differs is written into the records that line_up() finds for it.

#include <cstdint>

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// Writes what differs, into the records that line_up() finds for it. @return the records whose value changed.
///
/// A window that goes on in another record does so in three steps: the heir is filled with what the window
/// counts and both are enforced; what was counted meanwhile is added; the old record goes.
///
/// @param now  ticks.
/// Errors  Errc::no_space: a limit does not fit into the cells that it was given; nothing was written.
/// Crash   each limit is the old or the new one, or both hold until the next change: finish_block().
[[nodiscard]] Result<LimitMask> write_block(const Sections& sections, std::uint32_t index,
                                            const BlockValue& value, std::uint64_t now);

/// Ends what a write_block() that was killed left in the middle.
void finish_block(const Sections& sections, std::uint32_t index, std::uint64_t now);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A live change of one block.

#include <cstdint>

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

struct Written {
  LimitMask changed;  ///< the records whose value changed
  LimitMask begun;    ///< those that were not in use before, and take over from no other
};

/// Writes what differs into the records that line_up() finds for it. If any of them begins, the caller then stores
/// since when the block has its limits.
///
/// A window moves to another record in three steps: the heir is filled with what the window counts, and both are
/// enforced; what was counted meanwhile is added; the old record is taken out.
///
/// @param now  ticks.
/// Errors  Errc::no_space: the cells of a limit do not suffice; nothing was written.
/// Crash   each limit is the old one or the new one, or both are enforced until the next change calls
///         finish_block().
[[nodiscard]] Result<Written> write_block(const Sections& sections, std::uint32_t index,
                                          const BlockValue& value, std::uint64_t now);

/// Finishes a write_block() that was killed half-way.
void finish_block(const Sections& sections, std::uint32_t index, std::uint64_t now);

}  // namespace weir::detail

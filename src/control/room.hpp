// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a change goes, before the first word of it is written: the blocks that differ, a block for each new name, and
// whether the segment has room for all of it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weir/policy.hpp"

#include "base/hash.hpp"
#include "base/result.hpp"
#include "control/running.hpp"
#include "policy/block_names.hpp"
#include "policy/compile.hpp"

namespace weir::detail {

/// A block as it will be.
struct PlannedBlock {
  std::uint32_t block;
  BlockValue value;
  std::optional<Breaker> breaker;
  Family family;
  Hash128 hash;
  bool exempt = false;
  std::string given_to = {};  ///< the name that takes the block over from another; empty: it has it already
};

/// All blocks in which `target` differs from `now`, with room for all of them.
/// Errors  Errc::no_space, with the numbers.
[[nodiscard]] Result<std::vector<PlannedBlock>> plan_change(const RunningSegment& running, const Config& now,
                                                            const Config& target);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Plans a change before its first word is written: finds the blocks that differ and a block for each new name, and
// checks that the segment has room for all of it.

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

/// A block that a change writes, with its new value.
struct PlannedBlock {
  std::uint32_t block;
  BlockValue value;
  std::optional<Breaker> breaker;
  Family family;
  Hash128 hash;
  bool exempt = false;
  std::string given_to = {};  ///< the name that gets this retired block; empty: the block has its name
};

/// The blocks in which `target` differs from `now`. The segment has room for all of them.
/// Errors  Errc::no_space, with the numbers.
[[nodiscard]] Result<std::vector<PlannedBlock>> plan_change(const RunningSegment& running, const Config& now,
                                                            const Config& target);

}  // namespace weir::detail

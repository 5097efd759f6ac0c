// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which block belongs to which name: operations, and users with limits of their own.
//
// A block is given to a name, filled, and published: from then on it is found by the hash of the name. A name that a
// change takes out keeps its block, retired, until the block is needed for another name.

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// What has blocks of its own.
enum class Family : std::uint8_t { operations, overrides };

/// The block of a name, or a free one that gets this name and that no worker sees before publish_block().
/// @param taken  how many free blocks were given out since the last publish_block(); counts one more, if this is one.
/// Errors  Errc::no_space.
[[nodiscard]] Result<std::uint32_t> block_for(const Sections& sections, Family family, std::string_view name,
                                              Hash128 hash, std::uint32_t& taken);
/// Takes a block out: an operation was removed, or a user has no limits of its own any more. Writing the block again
/// brings it back.
void retire_block(const Sections& sections, std::uint32_t block) noexcept;
/// Empties a block that was taken out, and gives it to another name, which no worker sees before publish_block().
/// Nothing may be held or owed there.
void give_block(const Sections& sections, Family family, std::uint32_t block, std::string_view name) noexcept;
void publish_block(const Sections& sections, Family family, Hash128 hash, std::uint32_t block) noexcept;

}  // namespace weir::detail

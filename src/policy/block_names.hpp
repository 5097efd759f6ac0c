// SPDX-License-Identifier: Apache-2.0
#pragma once

// Assigns blocks to names: of operations, and of users with limits of their own.
//
// A block is given to a name, filled, and published; from then on workers find it by the hash of the name. When a
// change takes a name out, its block is retired and stays with the name until another name needs the block.

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// How many names the block of an operation may have, one after the other: as many as its handles tell apart. With
/// one more, a handle of the first name would mean the operation of the last one.
inline constexpr std::uint64_t kNamesOfABlock = 256;

/// The two kinds of names that have blocks.
enum class Family : std::uint8_t { operations, overrides };

/// Finds the block of a name, or gives the name a free block, which no worker sees before publish_block().
/// @param taken  the number of free blocks given out since the last publish_block(); raised if this is one of them.
/// Errors  Errc::no_space.
[[nodiscard]] Result<std::uint32_t> block_for(const Sections& sections, Family family, std::string_view name,
                                              Hash128 hash, std::uint32_t& taken);
/// Takes a block out of use: an operation was removed, or a user no longer has limits of its own. Writing the block
/// again brings it back.
void retire_block(const Sections& sections, std::uint32_t block) noexcept;
/// Empties a retired block and gives it to another name, under which no worker sees it before publish_block().
/// The caller makes sure that nothing is held or owed under its limits.
void give_block(const Sections& sections, Family family, std::uint32_t block, std::string_view name) noexcept;
/// Lets workers find a filled block by the hash of its name.
void publish_block(const Sections& sections, Family family, Hash128 hash, std::uint32_t block) noexcept;
/// Finishes a publish_block() that was killed half-way.
void finish_publishing(const Sections& sections) noexcept;

}  // namespace weir::detail

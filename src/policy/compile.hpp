#pragma once

// A Config as the words of blocks, and back.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weir/policy.hpp"

#include "base/result.hpp"
#include "policy/blocks.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// What a configuration says about one record.
struct LimitValue {
  std::uint64_t params = 0;  ///< 0: no such limit
  std::uint64_t count = 0;   ///< of a rate, as it was written
  std::uint64_t period = 0;
  Mode mode = Mode::enforced;
  std::uint32_t order = 0;    ///< in its list
  std::uint32_t heir_of = 0;  ///< see Listing

  friend bool operator==(const LimitValue&, const LimitValue&) = default;
};

using BlockValue = std::array<LimitValue, kBlockLimits>;

/// The same configuration with everything said that goes without saying: as load_config() gives it back.
[[nodiscard]] Config canonical(Config config);

/// `policy` has passed validate().
[[nodiscard]] BlockValue compile(const OperationPolicy& policy);
[[nodiscard]] BlockValue compile(const UserOverride& user);

/// Writes the parameters of an operation's breaker, and starts it anew if they changed.
void store_breaker(const Sections& sections, std::uint32_t block, const std::optional<Breaker>& breaker);

/// Words that a record needs in a cells section, with room to be raised live.
[[nodiscard]] std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept;
[[nodiscard]] std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept;

/// Words of the cells sections that a change would take.
struct Room {
  std::uint64_t permit_cells = 0;
  std::uint64_t window_cells = 0;
};
/// @param now  ticks.
[[nodiscard]] Result<Room> room_for(const Sections& sections, std::uint32_t block, const BlockValue& value,
                                    std::uint64_t now);

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

/// What has blocks of its own.
enum class Family : std::uint8_t { operations, overrides };

/// The block of a name, or a free one that got this name and that nobody sees before publish_block().
/// @param taken  how many free blocks were given out since the last publish_block(); one more, if this is
/// one. Errors  Errc::no_space.
[[nodiscard]] Result<std::uint32_t> block_for(const Sections& sections, Family family, std::string_view name,
                                              Hash128 hash, std::uint32_t& taken);
/// Takes a block out: an operation that is none any more, a user without limits of its own. Writing it again
/// brings it back.
void retire_block(const Sections& sections, std::uint32_t block) noexcept;
/// Empties a block that was taken out, and gives it to another name, which nobody sees before
/// publish_block(). Nobody may hold or owe anything there.
void give_block(const Sections& sections, Family family, std::uint32_t block, std::string_view name) noexcept;
void publish_block(const Sections& sections, Family family, Hash128 hash, std::uint32_t block) noexcept;

/// Writes a whole configuration into sections that nobody sees yet.
void store_config(const Sections& sections, const Config& config, const KeyHasher& hasher);

/// The configuration that the blocks enforce now: limit by limit as of one moment.
template <bool kWritable>
[[nodiscard]] Config load_config(const BasicSections<kWritable>& sections, std::string_view segment_name);

}  // namespace weir::detail

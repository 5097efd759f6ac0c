// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stores a whole Config in the words of a segment, and loads it back.

#include <cstdint>
#include <optional>
#include <string_view>

#include "weir/policy.hpp"

#include "base/hash.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// Writes the parameters of an operation's breaker. If they changed, the breaker starts again, unless an operator's
/// switch is set.
void store_breaker(const Sections& sections, std::uint32_t block, const std::optional<Breaker>& breaker);

/// Writes a whole configuration into sections that no other process sees yet.
void store_config(const Sections& sections, const Config& config, const KeyHasher& hasher);

/// The configuration that the blocks enforce now. Each limit is read as a whole; two may be of different moments.
template <bool kWritable>
[[nodiscard]] Config load_config(const BasicSections<kWritable>& sections, std::string_view segment_name);

}  // namespace weir::detail

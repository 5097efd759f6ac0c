// SPDX-License-Identifier: Apache-2.0
#pragma once

// A whole Config as the words of a segment, and back.

#include <cstdint>
#include <optional>
#include <string_view>

#include "weir/policy.hpp"

#include "base/hash.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// Writes the parameters of an operation's breaker, and restarts the breaker if they changed.
void store_breaker(const Sections& sections, std::uint32_t block, const std::optional<Breaker>& breaker);

/// Writes a whole configuration into sections that no other process sees yet.
void store_config(const Sections& sections, const Config& config, const KeyHasher& hasher);

/// The configuration that the blocks enforce now: limit by limit as of one moment.
template <bool kWritable>
[[nodiscard]] Config load_config(const BasicSections<kWritable>& sections, std::string_view segment_name);

}  // namespace weir::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The formats in which logs write times.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace weir::replay {

/// An instant of a log, in UTC.
using LogTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// The instant of "17/May/2015:10:05:03 +0000" (Apache, nginx) or of "2015-05-17T10:05:03.25Z" (ISO 8601, RFC
/// 3339). Both may have a fraction of a second. An ISO time without a zone is in UTC. A leap second, 23:59:60
/// in UTC, is the midnight after it.
/// @return nothing if no calendar or clock shows it, and for years before 1970 and after 2261.
[[nodiscard]] std::optional<LogTime> parse_log_time(std::string_view text) noexcept;

/// The instant of "1431857103.25": seconds since 1970. Numbers too large for seconds are milli-, micro- or
/// nanoseconds.
/// @return nothing for a text that is not such a number, and for years after 2261.
[[nodiscard]] std::optional<LogTime> parse_epoch_time(std::string_view text) noexcept;

/// "2015-05-17T10:05:03Z": whole seconds, rounded down.
[[nodiscard]] std::string to_iso_text(LogTime time);

}  // namespace weir::replay

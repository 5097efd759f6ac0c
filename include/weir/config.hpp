#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

/// Reads and checks a TOML file.
/// Errors  Errc::not_found, Errc::permission; Errc::config naming file, line, column and key.
[[nodiscard]] WEIR_EXPORT Result<Config> load_config(const std::string& path) noexcept;

/// Parses and checks a configuration; `origin` stands for the file name in errors.
[[nodiscard]] WEIR_EXPORT Result<Config> parse_config(std::string_view toml,
                                                      std::string_view origin) noexcept;

/// The limits a service gets without a file: eight operation types of an AI captions service.
[[nodiscard]] WEIR_EXPORT Config builtin_config();

/// The same as TOML: a file to start one's own from.
[[nodiscard]] WEIR_EXPORT std::string_view builtin_config_text() noexcept;

/// Parses "30/min burst 10".
/// Periods: s, sec, second, min, minute, h, hour, d, day, ms, us, ns, or a count of them ("5/10s").
/// Errors  Errc::config, quoting the text.
[[nodiscard]] WEIR_EXPORT Result<Rate> parse_rate(std::string_view text) noexcept;

/// The text that parses to this rate again, without what goes without saying: "500/hour", "5/10s burst 1".
[[nodiscard]] WEIR_EXPORT std::string format_rate(const Rate& rate);

/// "1.5s", "250ms", "2min": a duration for people, at most three digits, rounded up.
[[nodiscard]] WEIR_EXPORT std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace weir

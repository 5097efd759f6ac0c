// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

// Reading ------------------------------------------------------------------------------------------------

/// Reads a TOML file, applies the environment of this process to it, and checks the whole.
/// Errors  Errc::not_found, Errc::permission; Errc::config naming file, line, column (or the variable) and
///         key.
[[nodiscard]] WEIR_EXPORT Result<Config> load_config(const std::string& path) noexcept;

/// The built-in limits under this process's environment.
[[nodiscard]] WEIR_EXPORT Result<Config> load_builtin_config() noexcept;

/// Parses and checks a configuration, and does not look at the environment. Errors name `origin` as the file.
[[nodiscard]] WEIR_EXPORT Result<Config> parse_config(std::string_view toml,
                                                      std::string_view origin) noexcept;

/// The limits that a service gets without a file: eight kinds of operations of an AI captions service.
[[nodiscard]] WEIR_EXPORT Config builtin_config();

/// The built-in configuration as TOML, from which an operator can make a file.
[[nodiscard]] WEIR_EXPORT std::string_view builtin_config_text() noexcept;

/// Every key of a configuration with its bounds, default and meaning, as a page in Markdown (docs/configuration.md).
[[nodiscard]] WEIR_EXPORT std::string config_reference();

// Values by key ------------------------------------------------------------------------------------------

/// One value of a configuration, under the key that files and names of limits give it.
struct ConfigValue {
  std::string key;     ///< "operations.x.rate", "operations.x.user.concurrent", "segment.users"
  std::string value;   ///< TOML, as set_value() takes it: ["30/min burst 10", "500/hour"]
  std::string origin;  ///< "limits.toml:12:3", "environment WEIR_GLOBAL__RATE"; empty: not known
};

/// How a value changes; "none" stands for no value.
struct ConfigChange {
  std::string key;
  std::string from;
  std::string to;

  friend bool operator==(const ConfigChange&, const ConfigChange&) = default;
};

/// Changes one value, then checks the whole.
///
/// @param key    may also name a part of a value: "operations.x.rate[1]", "operations.x.rate[0].candidate",
///               "operations.x.breaker.failures". A name with dots needs quotes unless it is known:
///               "overrides.users.\"a.b\".rate". An operation that does not exist yet is added.
/// @param value  TOML (20, "60/min" in quotes, a list) or text without quotes (60/min); "none" removes the value.
///
/// Errors  Errc::config naming the key; `config` is then unchanged.
[[nodiscard]] WEIR_EXPORT Result<void> set_value(Config& config, std::string_view key,
                                                 std::string_view value) noexcept;

/// Makes several changes at once (each key's `to`), and checks the whole when all are made.
[[nodiscard]] WEIR_EXPORT Result<void> apply_changes(Config& config,
                                                     const std::vector<ConfigChange>& changes) noexcept;

/// All values of a configuration, in the order of the file format. Setting them one after the other in an empty
/// Config gives the same configuration.
[[nodiscard]] WEIR_EXPORT std::vector<ConfigValue> config_values(const Config& config);

/// The changes that lead from one configuration to the other, for apply_changes(). An operation that is added or
/// removed is one change.
[[nodiscard]] WEIR_EXPORT std::vector<ConfigChange> config_difference(const Config& from, const Config& to);

/// A file that parses to this configuration again.
[[nodiscard]] WEIR_EXPORT std::string to_toml(const Config& config);

// Where values come from ---------------------------------------------------------------------------------

/// A configuration, and where each of its values came from.
struct LoadedConfig {
  Config config;
  std::vector<ConfigValue> values;  ///< as config_values(), with their origins
};

/// Variables by name.
using Environment = std::map<std::string, std::string, std::less<>>;

/// The variables of this process that load_config() looks at.
[[nodiscard]] WEIR_EXPORT Environment process_environment();

/// Loads a file, or without one the built-in limits, and applies an environment to it.
///
/// A variable sets a key of the file if its name is WEIR_ and the key, with "__" for the dots:
///   WEIR_GLOBAL__RATE="60/min"
///   WEIR_OPERATIONS__IMAGE_RESIZE__RATE='["30/min", "500/hour"]'   for [operations.image-resize]
///
/// These variables set values of [defaults]:
///   RATE_LIMIT_REQUESTS_PER_MINUTE
///   RATE_LIMIT_REQUESTS_PER_HOUR
///   RATE_LIMIT_BURST_LIMIT              the burst of the rate per minute
///   MAX_CONCURRENT_REQUESTS
///   MAX_CONCURRENT_PER_USER
///   CIRCUIT_BREAKER_FAILURE_THRESHOLD
///   CIRCUIT_BREAKER_RECOVERY_TIMEOUT    in seconds, or a duration
[[nodiscard]] WEIR_EXPORT Result<LoadedConfig> load_effective_config(const std::optional<std::string>& path,
                                                                     const Environment& environment) noexcept;

/// Writes a file like the other to_toml(), with the origin of each value as a comment.
[[nodiscard]] WEIR_EXPORT std::string to_toml(const LoadedConfig& loaded);

// Without a file -----------------------------------------------------------------------------------------

/// Builds a configuration in code. Limits are added to the scope that was named last; build() reports the first
/// mistake.
///
///   weir::ConfigBuilder("captions")
///       .global().rate("2000/s burst 500")
///       .operation("caption_generation").rate("30/min burst 10").rate("500/hour").concurrent(20)
///       .user_rate("10/min burst 3").breaker({.failures = 3, .recovery = 30s})
///       .build();
class WEIR_EXPORT ConfigBuilder {
 public:
  explicit ConfigBuilder(std::string_view segment_name);

  ConfigBuilder& global();
  ConfigBuilder& operation(std::string_view name);
  ConfigBuilder& override_user(std::string_view user);

  ConfigBuilder& rate(std::string_view text);  ///< adds a rate to the list; window() adds a window
  ConfigBuilder& window(std::string_view text);
  ConfigBuilder& concurrent(std::uint32_t limit);
  ConfigBuilder& cooldown(std::chrono::nanoseconds length);
  ConfigBuilder& breaker(const Breaker& breaker);
  ConfigBuilder& user_rate(std::string_view text);
  ConfigBuilder& user_window(std::string_view text);
  ConfigBuilder& user_concurrent(std::uint32_t limit);
  ConfigBuilder& user_cooldown(std::chrono::nanoseconds length);
  ConfigBuilder& exempt();  ///< exempts the user of override_user()

  /// Sets any key, as set_value() does: "segment.users", "operations.x.rate[0].shadow".
  ConfigBuilder& set(std::string_view key, std::string_view value);

  [[nodiscard]] Result<Config> build() const noexcept;

 private:
  enum class Scope : std::uint8_t { global, operation, user };

  OperationPolicy& policy();
  Limits& shared();  ///< the limits of the scope
  Limits& of_users(std::string_view key);
  ConfigBuilder& permits(Limits& limits, std::string_view key, std::uint32_t limit);
  template <class Limit>
  ConfigBuilder& add(std::vector<Limit>& list, std::string_view key, const Result<Limit>& limit);
  void fail(std::string_view key, std::string_view problem, std::string hint);

  Config config_;
  Scope scope_ = Scope::global;
  std::string name_;              ///< the name of the operation or the user
  std::optional<Error> mistake_;  ///< the first one
};

// Texts --------------------------------------------------------------------------------------------------

/// Parses "30/min burst 10".
/// Periods: s, sec, second, min, minute, h, hour, d, day, ms, us, ns, or a count of them ("5/10s").
/// Errors  Errc::config, quoting the text.
[[nodiscard]] WEIR_EXPORT Result<Rate> parse_rate(std::string_view text) noexcept;

/// Parses "100 per 1min", with the periods of rates.
/// Errors  Errc::config, quoting the text.
[[nodiscard]] WEIR_EXPORT Result<Window> parse_window(std::string_view text) noexcept;

/// Parses "30s": a whole number and one of the units of rates.
/// Errors  Errc::config, quoting the text.
[[nodiscard]] WEIR_EXPORT Result<std::chrono::nanoseconds> parse_duration(std::string_view text) noexcept;

/// Formats a rate so that parse_rate() returns the same value; defaults are left out: "500/hour", "5/10s burst 1".
[[nodiscard]] WEIR_EXPORT std::string format_rate(const Rate& rate);

/// Formats a window so that parse_window() returns the same value: "100 per 1min".
[[nodiscard]] WEIR_EXPORT std::string format_window(const Window& window);

/// Formats a duration so that parse_duration() returns the same value: "90s", "1500ms".
[[nodiscard]] WEIR_EXPORT std::string format_exact_duration(std::chrono::nanoseconds duration);

/// Formats a duration for people, rounded up to at most three digits: "1.5s", "250ms", "2min".
[[nodiscard]] WEIR_EXPORT std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace weir

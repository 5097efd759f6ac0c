// SPDX-License-Identifier: Apache-2.0
#pragma once

// What must hold of any bytes that are read as a configuration. Shared by the fuzzer and by the test that
// replays what it found.
//
//   !KEY       set_value() on the built-in limits, a line for the key and one for the value, again and again
//   VALUE
//   $NAME=VALUE            an environment over the built-in limits
//   anything else          a file

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "weir/config.hpp"

namespace weir::fuzz {

/// Ends the process: the fuzzer keeps the input that did it.
inline void require(bool holds, const char* promise, const std::string& details) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n%s\n", promise, details.c_str());
  std::abort();
}

inline void require_round_trips(const Config& config) {
  require(static_cast<bool>(validate(config)), "what was accepted is valid", to_toml(config));

  const std::string text = to_toml(config);
  const Result<Config> parsed = parse_config(text, "written");
  require(static_cast<bool>(parsed), "what was written can be read", text);
  require(*parsed == config, "a file keeps everything", text + "\nis not\n" + to_toml(*parsed));

  Config changed;
  const Result<void> applied = apply_changes(changed, config_difference(changed, config));
  require(static_cast<bool>(applied), "a difference can be applied", text);
  require(changed == config, "a difference leads all the way", text + "\nis not\n" + to_toml(changed));
}

inline std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

inline void try_file(std::string_view text) {
  if (const Result<Config> config = parse_config(text, "fuzz")) require_round_trips(*config);
}

inline void try_settings(std::string_view text) {
  static const Config start = builtin_config();
  Config config = start;
  for (int i = 0; i < 8 && !text.empty(); ++i) {
    const std::string_view key = next_line(text);
    const std::string_view value = next_line(text);
    const Config before = config;
    const bool set = static_cast<bool>(set_value(config, key, value));
    require(set || config == before, "a refused value changes nothing", std::string(key));
  }
  if (config != start) require_round_trips(config);
}

inline void try_environment(std::string_view text) {
  Environment environment;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const auto* const equals = std::find(line.begin(), line.end(), '=');
    environment.emplace(std::string(line.begin(), equals),
                        std::string(equals == line.end() ? equals : equals + 1, line.end()));
  }
  if (const auto loaded = load_effective_config(std::nullopt, environment))
    require_round_trips(loaded->config);
}

inline void try_input(std::string_view input) {
  if (input.starts_with('!')) return try_settings(input.substr(1));
  if (input.starts_with('$')) return try_environment(input.substr(1));
  try_file(input);
}

}  // namespace weir::fuzz

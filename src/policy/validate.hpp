// SPDX-License-Identifier: Apache-2.0
#pragma once

// Checks a configuration before it is used: the bounds of each key, and what keys must say together.

#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <utility>

#include "weir/policy.hpp"

#include "policy/config_keys.hpp"
#include "policy/key_path.hpp"

namespace weir::detail {

/// What is wrong with a configuration, and where.
struct Fault {
  KeyPath key;
  std::string problem;
  std::string hint;
};

/// The first fault of a configuration.
[[nodiscard]] std::optional<Fault> find_fault(const Config& config);

/// Whether a number is within the bounds of its key.
template <class T, class Value, class Number>
[[nodiscard]] bool in_bounds(const Whole<T, Value>& setting, Number number) {
  return std::cmp_greater_equal(number, setting.least) && std::cmp_less_equal(number, setting.most);
}
/// The longest length of time that a key may have, rounded down.
[[nodiscard]] inline std::string longest_text(std::chrono::nanoseconds most) {
  if (most < std::chrono::days(1)) return fmt::format("{} h", most / std::chrono::hours(1));
  return fmt::format("{} days", most / std::chrono::days(1));
}
template <class T, class Value>
[[nodiscard]] std::string bounds_text(const Whole<T, Value>& setting) {
  return fmt::format("{} to {}", setting.least, setting.most);
}

}  // namespace weir::detail

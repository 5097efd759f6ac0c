// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the benchmarks decide over, so that a figure of one program is about the same limits as that of another.

#include <cstdint>
#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {

// A rate that never refuses in a benchmark, and one that refuses after its first token.
inline constexpr std::string_view kWide = "'10000000/s burst 1000000000'";
inline constexpr std::string_view kNarrow = "'1/day burst 1'";

inline Limiter limiter_with(const std::string& toml) {
  auto config = parse_config(toml, "bench");
  if (!config) throw std::runtime_error(config.error().message());
  auto limiter = Limiter::open_private(*config);
  if (!limiter) throw std::runtime_error(limiter.error().message());
  return std::move(*limiter);
}

inline std::string room_for(std::int64_t users) {
  return fmt::format("[segment]\nusers = {}\n", users);
}

/// One rate in a table such as `operations.x`.
inline std::string one_rate(std::string_view table, std::string_view rate) {
  return fmt::format("[{}]\nrate = {}\n", table, rate);
}

/// Five limits and a breaker for the operation `x`: a rate of everything, of the operation and of each user, and
/// permits of the operation and of each user.
inline std::string five_limits(std::string_view rate, std::string_view rate_of_user) {
  return fmt::format(R"(
[global]
rate = {0}
[operations.x]
rate = {0}
concurrent = 64
breaker = {{ failures = 5, recovery = "30s" }}
[operations.x.user]
rate = {1}
concurrent = 4
)",
                     rate, rate_of_user);
}

/// Names of users, in an order that a cache does not predict.
inline std::vector<std::string> user_names(std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) names.push_back("user-" + std::to_string(i * 7919 % count));
  return names;
}

}  // namespace weir

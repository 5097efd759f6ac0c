// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>

#include "weir/limiter.hpp"

#include "command.hpp"
#include "common/failure.hpp"

namespace weir::runner {

struct Options {
  std::optional<std::string> segment;  ///< from --segment or WEIR_SEGMENT
  std::optional<std::string> config;   ///< a TOML file
  std::string operation;
  std::string user;
  std::uint32_t cost = 1;
  std::uint32_t weight = 1;
  std::chrono::nanoseconds wait{0};
  std::uint32_t priority = 3;
  bool wait_for_rate = false;
  int refused_status = tools::kRefused;
  bool detach_on_kill = false;
  char** command = nullptr;  ///< the arguments after "--", unchanged, with the nullptr at their end

  [[nodiscard]] Request request() const {
    return {.user = user,
            .cost = cost,
            .weight = weight,
            .priority = static_cast<std::uint8_t>(priority),
            .wait_for = wait_for_rate ? WaitFor::permits_and_rates : WaitFor::permits,
            .wait = wait};
  }
  [[nodiscard]] WhenKilled when_killed() const {
    return detach_on_kill ? WhenKilled::command_goes_on : WhenKilled::command_dies;
  }
};

/// The options, or the exit status if there is nothing left to do (--help, --version).
/// Throws Failure on a wrong command line.
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace weir::runner

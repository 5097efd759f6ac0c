// SPDX-License-Identifier: Apache-2.0
#include "weir/log.hpp"

#include <atomic>

#include "base/standard_error.hpp"

namespace weir {
namespace {

std::atomic<LogFunction> log_function{detail::write_to_standard_error};

}  // namespace

void set_log(LogFunction function) noexcept {
  log_function.store(function, std::memory_order_release);
}

void log(std::string_view message) noexcept {
  const LogFunction function = log_function.load(std::memory_order_acquire);
  if (function == nullptr) return;
  try {
    function(message);
  } catch (...) {  // NOLINT(bugprone-empty-catch): losing a message must not end the program
  }
}

}  // namespace weir

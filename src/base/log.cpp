#include "weir/log.hpp"

#include <atomic>
#include <cstdio>

namespace weir {
namespace {

void to_standard_error(std::string_view message) {
  std::fprintf(stderr, "weir: %.*s\n", static_cast<int>(message.size()), message.data());
}

std::atomic<LogFunction> log_function{to_standard_error};

}  // namespace

void set_log(LogFunction function) noexcept {
  log_function.store(function, std::memory_order_release);
}

void log(std::string_view message) noexcept {
  if (const LogFunction function = log_function.load(std::memory_order_acquire)) function(message);
}

}  // namespace weir

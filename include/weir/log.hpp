// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// Receives what an operator must know and no return value tells: that the library decides without its
/// segment, or has moved to a new one. By default messages go to the standard error; one that cannot be
/// written at once is lost. nullptr discards all messages.
///
/// Concurrency  The function may be called on any thread that uses the library, but rarely is. What it throws
///              is dropped.
using LogFunction = void (*)(std::string_view message);
WEIR_EXPORT void set_log(LogFunction function) noexcept;

/// Passes a message to that function. Never fails.
WEIR_EXPORT void log(std::string_view message) noexcept;

}  // namespace weir

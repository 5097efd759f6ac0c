#pragma once

#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// Where the library says what an operator must know and no return value tells: that it decides without its
/// segment, or has moved to a new one. By default the standard error, which can do no harm: a message that it
/// does not take at once is lost. nullptr: nowhere. Concurrency  any thread; the function is called, seldom,
/// on the thread that has something to say. What it throws is
///              dropped.
using LogFunction = void (*)(std::string_view message);
WEIR_EXPORT void set_log(LogFunction function) noexcept;

/// Says something there. @return nothing; never fails.
WEIR_EXPORT void log(std::string_view message) noexcept;

}  // namespace weir

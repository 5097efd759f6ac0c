// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace weir::shm_inspect {

/// What is to be shown again and again.
struct Watched {
  std::chrono::nanoseconds every{0};
  bool json = false;
  /// Looks, and returns what it found as whole lines. Throws tools::Failure.
  std::function<std::string()> look;
  /// What tells the segment from others of its name; empty if there is none now. May be empty itself.
  std::function<std::string()> identity = {};
  /// Whether the last look was the last one; may be empty itself. A terminal then keeps it until Ctrl-C.
  std::function<bool()> is_over = {};
};

/// Adds --watch[=S]; the text stays empty if it is not given.
void add_watch(CLI::App& command, std::string& interval, const char* help);
/// "2", "0.5" or "500ms", at most 30 days. Throws tools::Failure.
[[nodiscard]] std::chrono::nanoseconds parse_time(const std::string& text, std::chrono::nanoseconds least);
/// The same for what is done again and again: at least 100 ms.
[[nodiscard]] std::chrono::nanoseconds parse_interval(const std::string& text);

/// Shows it until a signal ends the program: on a terminal in place, elsewhere one text after the other, each behind
/// a line with its time, and as JSON one object a line. A failure to look is shown in place of what was looked for,
/// and ends nothing; neither does another segment of the same name, of which it tells once.
/// Throws tools::Failure if nothing can be written, or if the command line was wrong.
void watch(const Watched& watched);

/// JSON that was written on several lines, on one.
[[nodiscard]] std::string on_one_line(const std::string& json);

}  // namespace weir::shm_inspect

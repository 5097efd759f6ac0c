// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::shm_inspect {

/// A line as far as `columns` characters of it fit. Sequences that colour it take no column, and none stays in force
/// behind a line that was cut.
[[nodiscard]] std::string cut_line(std::string_view line, std::size_t columns);

/// A text of whole lines that fills a screen: as many lines as fit, each cut, and `footer` at the bottom, which says
/// how many lines are missing.
[[nodiscard]] std::string one_screen(std::string_view text, std::string_view footer, std::size_t rows,
                                     std::size_t columns);

/// The terminal behind the standard output, which shows one screen at a time. What it showed before comes back at the
/// end. It must be one that can be redrawn.
class Screen {
 public:
  Screen() { enter(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen() { leave(); }

  /// Replaces what it shows, in the size that the terminal has now. Throws tools::Failure.
  void draw(std::string_view text, std::string_view footer) const;

  /// Gives the terminal back, and takes it again.
  void leave() const noexcept;
  void enter() const noexcept;
};

}  // namespace weir::shm_inspect

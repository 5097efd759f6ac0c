// SPDX-License-Identifier: Apache-2.0
#include "screen.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "common/output.hpp"

namespace weir::shm_inspect {
namespace {

void write(std::string_view text) noexcept {
  (void)std::fwrite(text.data(), 1, text.size(), stdout);
  (void)std::fflush(stdout);
}

/// Rows and columns; what a terminal of unknown size most often has.
std::pair<std::size_t, std::size_t> size() noexcept {
  winsize found{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) != 0 || found.ws_row == 0 || found.ws_col == 0)
    return {24, 80};
  return {found.ws_row, found.ws_col};
}

std::size_t line_count(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

std::string cut_line(std::string_view line, std::size_t columns) {
  std::size_t at = 0;
  bool coloured = false;
  for (std::size_t shown = 0; at < line.size();) {
    if (line[at] == '\x1b') {
      coloured = true;
      at = std::min(line.find('m', at), line.size() - 1) + 1;
      continue;
    }
    if (shown == columns) break;
    ++shown;
    // The bytes of one character of UTF-8.
    do ++at;
    while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xc0U) == 0x80);
  }
  return std::string(line.substr(0, at)) + (coloured && at < line.size() ? "\x1b[0m" : "");
}

std::string one_screen(std::string_view text, std::string_view footer, std::size_t rows,
                       std::size_t columns) {
  const std::size_t lines = line_count(text);
  const std::size_t room = std::max<std::size_t>(rows, 2) - 1;
  std::string screen;
  for (std::size_t i = 0; i < room; ++i) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    screen += cut_line(text.substr(0, end), columns) + '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const std::string missing =
      lines > room ? fmt::format("{} more lines do not fit; ", lines - room) : std::string();
  return screen + cut_line(missing + std::string(footer), columns);
}

void Screen::draw(std::string_view text, std::string_view footer) const {
  const auto [rows, columns] = size();
  std::string bytes = "\x1b[H";
  for (const char c : one_screen(text, footer, rows, columns)) {
    if (c == '\n') bytes += "\x1b[K\r";  // a line that is shorter than the one before it
    bytes += c;
  }
  write(bytes + "\x1b[J");
  tools::finish_output();
}

// The second screen of the terminal, without a cursor, and without breaking lines that hold wide characters.
void Screen::enter() const noexcept {
  write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J");
}

void Screen::leave() const noexcept {
  write("\x1b[?7h\x1b[?25h\x1b[?1049l");
}

}  // namespace weir::shm_inspect

// SPDX-License-Identifier: Apache-2.0
#include "config_manual.hpp"

#include <fmt/format.h>
#include <sstream>
#include <string_view>
#include <vector>

#include "weir/config.hpp"

#include "common/reference.hpp"

namespace weir::shm_inspect {
namespace {

/// The text of a line: code becomes bold, and what is emphasised is underlined.
std::string marked(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const char mark = text.front();
    const std::size_t end = mark == '`' || mark == '*' ? text.find(mark, 1) : text.npos;
    if (end == text.npos || end == 1) {
      result += tools::plain(text.substr(0, 1));
      text.remove_prefix(1);
      continue;
    }
    const char around = mark == '`' ? '*' : '_';
    result += around + tools::plain(text.substr(1, end - 1)) + around;
    text.remove_prefix(end + 1);
  }
  return result;
}

/// The cells of "| a | b |", in which "\|" is no border.
std::vector<std::string> cells_of(std::string_view row) {
  std::vector<std::string> cells;
  std::string cell;
  for (std::size_t i = 1; i < row.size(); ++i) {
    if (row[i] == '\\' && i + 1 < row.size() && row[i + 1] == '|') {
      cell += row[++i];
    } else if (row[i] == '|') {
      const std::size_t begin = cell.find_first_not_of(' ');
      cells.push_back(begin == cell.npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') - begin + 1));
      cell.clear();
    } else {
      cell += row[i];
    }
  }
  return cells;
}

/// A row of a table as an entry of a list: "key: value; default X", and its meaning.
std::string entry(const std::vector<std::string>& cells) {
  if (cells.size() < 2) return {};
  std::string head = marked(cells.front());
  if (cells.size() == 4) head += fmt::format(": {}; default {}", marked(cells[1]), marked(cells[2]));
  return fmt::format("{}\n\t{}\n\n", head, marked(cells.back()));
}

}  // namespace

std::string config_manual() {
  std::string text =
      "weir.toml(5)\n\n# NAME\n\nweir.toml - the limits of a host, as *shm-inspect*(1), *weir-run*(1), "
      "*weir-replay*(1) and servers read them\n\n# DESCRIPTION\n\n";
  std::istringstream lines(config_reference());
  std::string line;
  std::getline(lines, line);  // the title
  while (std::getline(lines, line)) {
    // The heads of tables.
    if (line.starts_with("|---") || line.starts_with("| Key |") || line.starts_with("| Table |")) continue;
    if (line.starts_with("|")) {
      text += entry(cells_of(line));
    } else if (line.starts_with("## ")) {
      std::erase(line, '`');  // headings have no marks
      text += "#" + line.substr(2) + "\n";
    } else if (line.starts_with("- ")) {
      text += "- " + marked(line.substr(2)) + "\n";
    } else if (line.starts_with("  ")) {
      text += "  " + marked(line.substr(2)) + "\n";
    } else {
      text += marked(line) + "\n";
    }
  }
  return text + "\n# SEE ALSO\n\n*shm-inspect*(1), *weir-run*(1), *weir-replay*(1)\n";
}

}  // namespace weir::shm_inspect

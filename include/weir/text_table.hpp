// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace weir {

/// Lines of cells, printed in columns as wide as their widest cell.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { add(std::move(header)); }

  void add(std::vector<std::string> cells, bool alarm = false) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], columns(cells[i]));
    rows_.push_back({std::move(cells), alarm});
  }

  /// With colours, the lines that were added with an alarm are red.
  [[nodiscard]] std::string text(bool colours) const {
    std::string result;
    for (const Row& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.cells.size(); ++i)
        line += row.cells[i] + std::string(widths_[i] - columns(row.cells[i]) + 2, ' ');
      line.erase(line.find_last_not_of(' ') + 1);
      result += (colours && row.alarm ? "\x1b[31m" + line + "\x1b[0m" : line) + "\n";
    }
    return result;
  }

 private:
  /// Counts characters of UTF-8 and not bytes. Wide characters count as one, too.
  static std::size_t columns(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
  }

  struct Row {
    std::vector<std::string> cells;
    bool alarm;
  };

  std::vector<Row> rows_;
  std::vector<std::size_t> widths_;
};

}  // namespace weir

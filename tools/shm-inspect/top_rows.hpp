// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `top` shows of a segment: rows that are computed from two snapshots, and pages of lines. It knows nothing of a
// terminal.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/inspect.hpp"

namespace weir::shm_inspect {

/// A snapshot and the moment at which it was taken.
struct Look {
  Snapshot snapshot;
  std::chrono::steady_clock::time_point when;
};

/// One operation between two looks.
struct OperationRow {
  std::string name;
  std::string breaker = "-";
  bool needs_attention = false;
  bool is_idle = true;
  std::optional<double> admitted;  ///< requests a second
  std::optional<double> refused;   ///< the part of its requests
  std::optional<double> failed;    ///< the part of its calls
  std::optional<std::chrono::nanoseconds> p50;
  std::optional<std::chrono::nanoseconds> p99;
  std::uint64_t in_flight = 0;
  std::uint64_t permits = 0;  ///< how many there are; 0: no limit
  std::uint64_t waiting = 0;
  double tightness = 0;  ///< how much of its tightest limit over all users is used, from 0 to 1
  std::string tightest;  ///< the name of that limit, and how much of it is used
};

[[nodiscard]] std::vector<OperationRow> operation_rows(const Look& now, const std::optional<Look>& before);

/// A column of the table of operations.
struct OperationColumn {
  std::string_view title;
  std::size_t width;
  int importance;  ///< the least important columns are left out where the screen is too narrow
  bool right;      ///< whether it stands at the right end of its column
  std::string (*text)(const OperationRow& row);
  bool (*comes_first)(const OperationRow& a, const OperationRow& b);  ///< the order of rows by this column
};
/// Those that fit, with a blank between two of them.
[[nodiscard]] std::vector<OperationColumn> columns_for(std::size_t width);

/// A line of a page; `alarm`: an operator should look at it.
struct PageLine {
  std::string text;
  bool alarm = false;
};

/// The line about the segment, and the one about all operations together.
[[nodiscard]] std::vector<PageLine> heading(const Look& now, const std::vector<OperationRow>& rows);
/// One line of the table, its cells cut to their columns.
[[nodiscard]] std::string line_of(const std::vector<OperationColumn>& columns, const OperationRow& row);
[[nodiscard]] std::string titles_of(const std::vector<OperationColumn>& columns);

/// The page of an operation: its limits, its breaker, its queue, and the users against whom most is held.
[[nodiscard]] std::vector<PageLine> operation_page(const Look& now, const std::string& operation,
                                                   const std::vector<UserEntry>& users);

}  // namespace weir::shm_inspect

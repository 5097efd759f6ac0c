// SPDX-License-Identifier: Apache-2.0
#pragma once

// A snapshot in the forms that people and programs read. A service answers GET /metrics so:
//
//   const auto metrics = limiter.snapshot().and_then(weir::to_prometheus);
//   if (!metrics) return answer(503, metrics.error().message());
//   return answer(200, *metrics, weir::kPrometheusType);
//
// All of them walk the lists of fields.hpp, so a new value is in each.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/inspect.hpp"

namespace weir {

// Errors  None of these fails but for want of memory.

/// The screen of `shm-inspect status`. Names of unknown origin are safe to print.
/// @param colours  red for what needs attention, by escape sequences of a terminal.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_text(const Snapshot& snapshot,
                                                      bool colours = false) noexcept;
/// The screen of `shm-inspect workers`: the attached processes and the requests that wait.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_workers_text(const Snapshot& snapshot,
                                                              bool colours = false) noexcept;

/// One JSON object, as `shm-inspect status --json` prints it.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_json(const Snapshot& snapshot) noexcept;

/// The formats in which Prometheus reads metrics.
enum class MetricsFormat : std::uint8_t {
  prometheus = 0,    ///< its text format 0.0.4
  open_metrics = 1,  ///< OpenMetrics 1.0
};
/// The Content-Type of each.
inline constexpr std::string_view kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr std::string_view kOpenMetricsType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every field that names a metric, with the prefix "weir_", the series of one name together. Neither a user nor a process
/// is ever a label, so there are as many series as operations and limits. Names that are not UTF-8 are made printable.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_prometheus(const Snapshot& snapshot) noexcept;
[[nodiscard]] WEIR_EXPORT Result<std::string> to_open_metrics(const Snapshot& snapshot) noexcept;
/// Of several segments: if there is more than one, each series has the label `segment`.
[[nodiscard]] WEIR_EXPORT Result<std::string> to_metrics(std::span<const Snapshot> snapshots,
                                                         MetricsFormat format) noexcept;

}  // namespace weir

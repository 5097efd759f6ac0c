// SPDX-License-Identifier: Apache-2.0
#pragma once

// The results of a replay, in the order in which both reports show them.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "options.hpp"
#include "tally.hpp"
#include "timeline.hpp"

namespace weir::replay {

struct LimitLine {
  std::string name;
  std::uint64_t refused = 0;
};

struct CountsLine {
  std::string_view name;
  Counts counts;
};

struct Report {
  std::vector<std::string> logs;
  std::string operation;
  Counts counts;
  ReadingNotes notes;
  bool sorted = true;
  std::uint64_t users = 0;
  std::string from;  ///< "2015-05-17T10:05:03Z"; empty without requests
  std::string until;
  std::chrono::seconds span{0};
  std::vector<std::string> not_tried;    ///< limits that a log cannot try: permits and breakers
  std::vector<LimitLine> refused_by;     ///< the limit that refused most comes first
  std::vector<CountsLine> by_operation;  ///< with --operation-by
  std::vector<CountsLine> top_refused;   ///< at most ten users who were refused, the most refused first

  [[nodiscard]] std::uint64_t admitted() const noexcept { return counts.requests - counts.refused; }
};

/// Everything from which a report is made. Names in the report point into these.
struct Findings {
  const Options& options;
  const Config& config;
  const std::vector<LogSource>& logs;
  const Names& names;
  const Routes& routes;
  const Timeline& timeline;
  const Tally& tally;
  const Limiter* limiter;  ///< null: there were no requests
};

[[nodiscard]] Report make_report(const Findings& findings);

/// The keys of permits and breakers that requests of these operations would meet.
[[nodiscard]] std::vector<std::string> permits_and_breakers(const Config& config, const Routes& routes);

/// Whether a limit of these operations keeps an entry for each user.
[[nodiscard]] bool keeps_users(const Config& config, const Routes& routes);

/// The report for people. Text from the log is escaped, because it may hold commands for a terminal.
[[nodiscard]] std::string to_text(const Report& report);

/// The report for programs: one JSON object.
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace weir::replay

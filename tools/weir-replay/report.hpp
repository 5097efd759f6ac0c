#pragma once

// What a replay found, in the order in which both reports tell it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"

#include "tally.hpp"

namespace weir::replay {

struct LimitLine {
  std::string name;
  std::uint64_t refused = 0;
};

struct UserLine {
  std::string_view name;
  UserCounts counts;
};

struct Report {
  std::string log;
  std::string operation;
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
  std::uint64_t unparsed = 0;
  std::uint64_t first_unparsed_line = 0;  ///< 0: there is none
  std::string_view first_unparsed;
  std::uint64_t users = 0;
  std::string from;  ///< "2015-05-17T10:05:03Z"; empty without requests
  std::string until;
  std::chrono::seconds span{0};
  std::vector<LimitLine> refused_by;  ///< the one that refused most first
  std::vector<UserLine> top_refused;  ///< at most ten who were refused, the most refused first

  [[nodiscard]] std::uint64_t admitted() const noexcept { return requests - refused; }
};

/// Names point into the log and into `limiter`.
[[nodiscard]] Report make_report(const Tally& tally, const Limiter& limiter);

/// For people. What comes from the log is escaped: it may hold commands for a terminal.
[[nodiscard]] std::string to_text(const Report& report);

/// For programs: one object.
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace weir::replay

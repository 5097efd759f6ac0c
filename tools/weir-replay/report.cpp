#include "report.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "replay.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kTopUsers = 10;

std::string iso_time(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::vector<LimitLine> limits_by_refusals(const Tally& tally, const Limiter& limiter) {
  std::vector<LimitLine> lines;
  for (const auto& [limit, refused] : tally.refused_by) {
    lines.push_back({std::string(name_of(limiter, limit)), refused});
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const LimitLine& a, const LimitLine& b) { return a.refused > b.refused; });
  return lines;
}

std::vector<UserLine> most_refused_users(const Tally& tally) {
  std::vector<UserLine> lines;
  for (const auto& [user, counts] : tally.users) {
    if (counts.refused > 0) lines.push_back({user, counts});
  }
  const std::size_t top = std::min(kTopUsers, lines.size());
  std::partial_sort(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(top), lines.end(),
                    [](const UserLine& a, const UserLine& b) {
                      if (a.counts.refused != b.counts.refused) return a.counts.refused > b.counts.refused;
                      return a.name < b.name;
                    });
  lines.resize(top);
  return lines;
}

}  // namespace

Report make_report(const Tally& tally, const Limiter& limiter) {
  Report report;
  report.requests = tally.requests;
  report.refused = tally.refused;
  report.unparsed = tally.unparsed;
  report.first_unparsed_line = tally.first_unparsed_line;
  report.first_unparsed = tally.first_unparsed;
  report.users = tally.users.size();
  report.refused_by = limits_by_refusals(tally, limiter);
  report.top_refused = most_refused_users(tally);
  if (tally.requests == 0) return report;
  report.from = iso_time(tally.reached.first);
  report.until = iso_time(tally.reached.now);
  report.span = tally.reached.now - tally.reached.first;
  return report;
}

}  // namespace weir::replay

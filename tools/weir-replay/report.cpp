// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <algorithm>

#include "replay.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kTopUsers = 10;

std::vector<LimitLine> limits_by_refusals(const Findings& findings) {
  std::vector<LimitLine> lines;
  if (findings.limiter == nullptr) return lines;
  for (const auto& [limit, refused] : findings.tally.refused_by) {
    lines.push_back({name_of(*findings.limiter, limit), refused});
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const LimitLine& a, const LimitLine& b) { return a.refused > b.refused; });
  return lines;
}

std::vector<CountsLine> most_refused_users(const Findings& findings) {
  std::vector<CountsLine> lines;
  const std::vector<Counts>& users = findings.tally.users;
  for (UserNumber user = kNobody + 1; user < users.size(); ++user) {
    if (users[user].refused > 0) lines.push_back({findings.names[user], users[user]});
  }
  const std::size_t top = std::min(kTopUsers, lines.size());
  std::partial_sort(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(top), lines.end(),
                    [](const CountsLine& a, const CountsLine& b) {
                      if (a.counts.refused != b.counts.refused) return a.counts.refused > b.counts.refused;
                      return a.name < b.name;
                    });
  lines.resize(top);
  return lines;
}

std::vector<CountsLine> by_operation(const Findings& findings) {
  std::vector<CountsLine> lines;
  const std::vector<std::string>& names = findings.routes.operations();
  if (names.size() == 1) return lines;
  for (std::size_t i = findings.routes.has_otherwise() ? 0 : 1; i < names.size(); ++i) {
    const auto& counts = findings.tally.operations;
    lines.push_back({names[i], i < counts.size() ? counts[i] : Counts{}});
  }
  return lines;
}

std::uint64_t users_in(const Tally& tally) {
  std::uint64_t users = 0;
  for (UserNumber user = kNobody + 1; user < tally.users.size(); ++user) {
    users += tally.users[user].requests > 0 ? 1 : 0;
  }
  return users;
}

bool keeps_entries(const Limits& limits) {
  return !limits.rates.empty() || !limits.windows.empty() || limits.cooldown.length.count() != 0;
}

// Calls visit(key, policy) for the global limits and for those of each operation that requests have.
template <class Visit>
void for_each_policy(const Config& config, const Routes& routes, Visit&& visit) {
  visit(std::string("global"), config.global);
  for (const std::string& name : routes.operations()) {
    const auto found = config.operations.find(name);
    if (found != config.operations.end()) visit("operations." + name, found->second);
  }
}

}  // namespace

std::vector<std::string> permits_and_breakers(const Config& config, const Routes& routes) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key, const Limits& limits) {
    if (limits.concurrent.limit != 0) keys.push_back(key + ".concurrent");
  };
  for_each_policy(config, routes, [&](const std::string& key, const OperationPolicy& policy) {
    add(key, policy.shared);
    add(key + ".user", policy.user);
    if (policy.breaker) keys.push_back(key + ".breaker");
  });
  for (const auto& [name, user] : config.users) add("overrides.users.\"" + name + '"', user.limits);
  return keys;
}

bool keeps_users(const Config& config, const Routes& routes) {
  bool keeps = std::any_of(config.users.begin(), config.users.end(),
                           [](const auto& user) { return keeps_entries(user.second.limits); });
  for_each_policy(config, routes, [&](const std::string& /*key*/, const OperationPolicy& policy) {
    keeps = keeps || keeps_entries(policy.user);
  });
  return keeps;
}

Report make_report(const Findings& findings) {
  Report report;
  for (const LogSource& log : findings.logs) report.logs.push_back(log.name());
  report.operation = findings.options.operation;
  report.counts = findings.tally.all;
  report.notes = findings.timeline.notes();
  report.sorted = findings.options.sort;
  report.users = users_in(findings.tally);
  report.not_tried = permits_and_breakers(findings.config, findings.routes);
  report.refused_by = limits_by_refusals(findings);
  report.by_operation = by_operation(findings);
  report.top_refused = most_refused_users(findings);
  if (report.counts.requests == 0) return report;
  report.from = to_iso_text(findings.timeline.first());
  report.until = to_iso_text(findings.timeline.last());
  report.span = std::chrono::floor<std::chrono::seconds>(findings.timeline.last()) -
                std::chrono::floor<std::chrono::seconds>(findings.timeline.first());
  return report;
}

}  // namespace weir::replay

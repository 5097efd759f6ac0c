// SPDX-License-Identifier: Apache-2.0
#include "http/rate_limit_fields.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

namespace weir::detail {
namespace {

constexpr std::string_view kPolicyField = "RateLimit-Policy";
constexpr std::string_view kLimitField = "RateLimit";

/// A string of RFC 8941: printable ASCII, with quotes and backslashes escaped. The names of limits are such
/// strings already, except for users' keys.
std::string quoted_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c >= ' ' && c <= '~' ? c : '?';
  }
  return result + '"';
}

bool is_nearer_its_end(const Quota& a, const Quota& b) {
  // a.remaining / a.quota < b.remaining / b.quota
  return std::uint64_t{a.remaining} * std::max(1U, b.quota) <
         std::uint64_t{b.remaining} * std::max(1U, a.quota);
}

}  // namespace

long whole_seconds(std::chrono::nanoseconds duration) {
  return static_cast<long>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

std::vector<Quota> tightest_first(std::vector<Quota> quotas, LimitId refused_by) {
  const auto comes_first = [refused_by](const Quota& a, const Quota& b) {
    const bool a_refused = refused_by != LimitId::none && a.limit == refused_by;
    const bool b_refused = refused_by != LimitId::none && b.limit == refused_by;
    return a_refused != b_refused ? a_refused : is_nearer_its_end(a, b);
  };
  std::stable_sort(quotas.begin(), quotas.end(), comes_first);
  return quotas;
}

void add_rate_limit(std::vector<HttpField>& fields, const std::vector<Quota>& quotas, long retry_after) {
  std::string policies;
  std::string limits;
  std::size_t bytes = kPolicyField.size() + kLimitField.size();
  for (const Quota& quota : quotas) {
    // The draft says that the reset must not be later than Retry-After. A client that waits until Retry-After
    // sees the true reset of a limit that did not refuse in the next answer.
    const long more_in = whole_seconds(quota.more_in);
    const long reset = retry_after == 0 ? more_in : std::min(more_in, retry_after);
    const std::string name = quoted_string(quota.name);
    const char* const comma = policies.empty() ? "" : ", ";
    const std::string policy =
        fmt::format("{}{};q={};w={}", comma, name, quota.quota, std::max(1L, whole_seconds(quota.window)));
    const std::string limit = fmt::format("{}{};r={};t={}", comma, name, quota.remaining, reset);
    bytes += policy.size() + limit.size();
    if (bytes > kMaxRateLimitBytes) break;
    policies += policy;
    limits += limit;
  }
  if (policies.empty()) return;
  fields.push_back({std::string(kPolicyField), std::move(policies)});
  fields.push_back({std::string(kLimitField), std::move(limits)});
}

void add_x_rate_limit(std::vector<HttpField>& fields, const Quota& quota) {
  fields.push_back({"X-RateLimit-Limit", std::to_string(quota.quota)});
  fields.push_back({"X-RateLimit-Remaining", std::to_string(quota.remaining)});
  fields.push_back({"X-RateLimit-Reset", std::to_string(whole_seconds(quota.reset))});
}

}  // namespace weir::detail

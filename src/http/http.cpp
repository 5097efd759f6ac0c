#include "weir/http.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace weir {
namespace {

long whole_seconds(std::chrono::nanoseconds duration) {
  return static_cast<long>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

/// A string of RFC 8941: printable ASCII, with quotes and backslashes escaped. Names of limits are that but
/// for the keys of users.
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

void add_rate_limit(std::vector<HttpField>& fields, const std::vector<Quota>& quotas) {
  std::string policies;
  std::string limits;
  for (const Quota& quota : quotas) {
    const std::string name = quoted_string(quota.name);
    const char* const comma = policies.empty() ? "" : ", ";
    policies +=
        fmt::format("{}{};q={};w={}", comma, name, quota.quota, std::max(1L, whole_seconds(quota.window)));
    limits += fmt::format("{}{};r={};t={}", comma, name, quota.remaining, whole_seconds(quota.reset));
  }
  fields.push_back({"RateLimit-Policy", std::move(policies)});
  fields.push_back({"RateLimit", std::move(limits)});
}

void add_x_rate_limit(std::vector<HttpField>& fields, const std::vector<Quota>& quotas) {
  const Quota& nearest = *std::min_element(quotas.begin(), quotas.end(), is_nearer_its_end);
  fields.push_back({"X-RateLimit-Limit", std::to_string(nearest.quota)});
  fields.push_back({"X-RateLimit-Remaining", std::to_string(nearest.remaining)});
  fields.push_back({"X-RateLimit-Reset", std::to_string(whole_seconds(nearest.reset))});
}

HttpAnswer answer_for(const Decision& decision) {
  const long wait = std::max(1L, whole_seconds(decision.retry_after));
  switch (decision.verdict) {
    case Verdict::admitted:
      return {};
    case Verdict::throttled:
    case Verdict::blocked:
      return {429, "rate_limit_exceeded", wait, {}};
    case Verdict::shed:
    case Verdict::circuit_open:
      return {503, "service_unavailable", wait, {}};
    case Verdict::never:
    case Verdict::invalid:
      break;
  }
  return {400, "invalid_request", 0, {}};
}

}  // namespace

HttpAnswer http_answer(const Decision& decision, const std::vector<Quota>& quotas,
                       const HttpOptions& options) {
  HttpAnswer answer = answer_for(decision);
  if (answer.retry_after != 0) answer.fields.push_back({"Retry-After", std::to_string(answer.retry_after)});
  if (!quotas.empty() && options.rate_limit) add_rate_limit(answer.fields, quotas);
  if (!quotas.empty() && options.x_rate_limit) add_x_rate_limit(answer.fields, quotas);
  return answer;
}

}  // namespace weir

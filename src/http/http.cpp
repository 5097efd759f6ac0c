// SPDX-License-Identifier: Apache-2.0
#include "weir/http.hpp"

#include <algorithm>
#include <string>

#include "http/rate_limit_fields.hpp"

namespace weir {
namespace {

HttpAnswer answer_for(const Decision& decision) {
  const long wait = std::max(1L, detail::whole_seconds(decision.retry_after));
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
  if (quotas.empty()) return answer;
  const std::vector<Quota> sorted = detail::tightest_first(quotas, decision.limit);
  if (options.rate_limit) detail::add_rate_limit(answer.fields, sorted, answer.retry_after);
  if (options.x_rate_limit) detail::add_x_rate_limit(answer.fields, sorted.front());
  return answer;
}

}  // namespace weir

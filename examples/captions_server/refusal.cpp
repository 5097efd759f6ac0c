// SPDX-License-Identifier: Apache-2.0
#include "refusal.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>

namespace captions {
namespace {

namespace http = boost::beast::http;

/// To a request that no wait lets pass: it costs more than a limit ever holds.
Refusal too_costly(weir::Limiter& limiter, weir::Operation operation, const weir::Request& request,
                   std::string_view limit) {
  std::uint32_t fits = request.cost;
  for (const weir::Quota& quota : limiter.quotas(operation, request)) fits = std::min(fits, quota.quota);
  return {http::status::bad_request,
          {{"error", weir::http_answer({weir::Verdict::never}).error},
           {"message", fmt::format("{} requests at once are more than {} ever holds; send at most {}",
                                   request.cost, limit, fits)},
           {"limit", limit},
           {"largest", fits}},
          {}};
}

/// What refused, for a client. No limit did if a pool has no room, or stops.
std::string refuser(const std::string& limit, weir::ShedCause cause) {
  if (!limit.empty()) return limit;
  return cause == weir::ShedCause::cancelled ? "a worker that stops" : "a full queue";
}

}  // namespace

Refusal describe_refusal(weir::Limiter& limiter, weir::Operation operation, const weir::Request& request,
                         const weir::Decision& decision) {
  const std::string limit = limiter.limit_name(decision.limit);
  if (decision.verdict == weir::Verdict::never) return too_costly(limiter, operation, request, limit);
  const weir::HttpAnswer answer = weir::http_answer(decision, limiter.quotas(operation, request));
  if (decision.verdict == weir::Verdict::invalid) {
    return {http::status::service_unavailable,
            {{"error", "service_unavailable"},
             {"message", "this operation was taken out of the limits; it is not served"}},
            {}};
  }
  Json body{{"error", answer.error},
            {"message", fmt::format("refused by {}; try again in {} s", refuser(limit, decision.cause),
                                    answer.retry_after)},
            {"retry_after", answer.retry_after}};
  if (!limit.empty()) body["limit"] = limit;
  return {static_cast<http::status>(answer.status), std::move(body), answer.fields};
}

}  // namespace captions

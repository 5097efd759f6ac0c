// SPDX-License-Identifier: Apache-2.0
#include "routes.hpp"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <string>
#include <utility>

#include "weir/fields.hpp"
#include "weir/http.hpp"
#include "weir/inspect.hpp"

#include "target.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::chrono::milliseconds kSlow(500);
constexpr std::chrono::milliseconds kPoll(5);  // how often a request that waits is looked at

Target target_of(const Request& request) {
  const std::string_view target(request.target().data(), request.target().size());
  return parse_target(target).value_or(Target{});
}

/// Whether the query has `item` between its `&`.
bool query_has(const Request& request, std::string_view item) {
  std::string_view left = target_of(request).query;
  while (!left.empty()) {
    const std::size_t end = std::min(left.size(), left.find('&'));
    if (left.substr(0, end) == item) return true;
    left.remove_prefix(std::min(left.size(), end + 1));
  }
  return false;
}

/// The KEY of `Authorization: Bearer KEY`; empty if there is none.
std::string_view bearer_key(const Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto field = request[http::field::authorization];
  if (!boost::beast::iequals(field.substr(0, kScheme.size()), {kScheme.data(), kScheme.size()})) return {};
  return {field.data() + kScheme.size(), field.size() - kScheme.size()};
}

Response bad_request(const weir::Error& error) {
  return answer_error(http::status::bad_request, "invalid_request", error.what);
}

}  // namespace

Response answer_json(http::status status, const Json& body) {
  Response response(status, 11);
  response.set(http::field::content_type, "application/json");
  response.body() = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

Response answer_error(http::status status, std::string_view code, std::string_view message) {
  return answer_json(status, {{"error", code}, {"message", message}});
}

struct Routes::Route {
  std::string_view path;
  http::verb method;
  bool admin_only;
  // One of these: a handler that answers at once, or one that may wait.
  Response (Routes::*at_once)(const Request&, const Caller&) const;
  Answer (Routes::*waiting)(const Request&, const Caller&) const;
};

const Routes::Route Routes::kRoutes[] = {
    {"/api/v14/generate", http::verb::post, false, nullptr, &Routes::generate},
    {"/api/v14/generate/priority", http::verb::post, false, nullptr, &Routes::generate_priority},
    {"/api/v14/batch", http::verb::post, false, &Routes::generate_batch, nullptr},
    {"/api/v14/limits/status", http::verb::get, false, &Routes::limits_status, nullptr},
    {"/api/v14/limits/reset", http::verb::post, true, &Routes::limits_reset, nullptr},
};

Routes::Routes(weir::Limiter& limiter, ApiKeys keys, bool anonymous, weir::Operation generation,
               weir::Operation batch)
    : limiter_(&limiter),
      keys_(std::move(keys)),
      anonymous_(anonymous),
      generation_(generation),
      batch_(batch) {}

weir::Result<Routes> Routes::create(weir::Limiter& limiter, ApiKeys keys, bool anonymous) {
  const auto generation = limiter.operation(kGeneration);
  if (!generation) return generation.error();
  const auto batch = limiter.operation(kBatch);
  if (!batch) return batch.error();
  return Routes(limiter, std::move(keys), anonymous, *generation, *batch);
}

std::optional<Caller> Routes::identify(const Request& request, std::string_view client) const {
  if (anonymous_ && request.count(http::field::authorization) == 0) return Caller{std::string(client), false};
  const Caller* const caller = keys_.find(bearer_key(request));
  return caller == nullptr ? std::nullopt : std::optional(*caller);
}

Routes::Answer Routes::answer(const Request& request, std::string_view client) const {
  const auto matches = [path = target_of(request).path](const Route& route) { return route.path == path; };
  const auto* route = std::find_if(std::begin(kRoutes), std::end(kRoutes), matches);
  if (route == std::end(kRoutes))
    co_return answer_error(http::status::not_found, "not_found", "no such path");
  if (route->method != request.method()) {
    Response response = answer_error(http::status::method_not_allowed, "method_not_allowed",
                                     "this path has another method; see Allow");
    response.set(http::field::allow, http::to_string(route->method));
    co_return response;
  }
  const std::optional<Caller> caller = identify(request, client);
  if (!caller) {
    Response response = answer_error(http::status::unauthorized, "unauthorized",
                                     "no known key; send `Authorization: Bearer KEY`");
    response.set(http::field::www_authenticate, "Bearer");
    co_return response;
  }
  if (route->admin_only && !caller->admin) {
    co_return answer_error(http::status::forbidden, "forbidden", "this needs the key of an administrator");
  }
  if (route->at_once != nullptr) co_return (this->*route->at_once)(request, *caller);
  co_return co_await (this->*route->waiting)(request, *caller);
}

Routes::Answer Routes::generate(const Request& request, const Caller& caller) const {
  const auto body = parse_object(request.body());
  if (!body) co_return bad_request(body.error());
  co_return co_await generate_one(request, *body, caller, std::nullopt);
}

Routes::Answer Routes::generate_priority(const Request& request, const Caller& caller) const {
  const auto body = parse_object(request.body());
  if (!body) co_return bad_request(body.error());
  const auto level = read_integer(*body, "priority_level", 1, 5);
  if (!level) co_return bad_request(level.error());
  co_return co_await generate_one(request, *body, caller, static_cast<std::uint8_t>(*level));
}

asio::awaitable<weir::Admission> Routes::admit(weir::Operation operation, weir::Request request) const {
  weir::Ticket ticket = limiter_->enqueue(operation, request);
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    if (auto admission = ticket.poll()) co_return std::move(*admission);
    if (!ticket.waits()) co_return weir::Admission({weir::Verdict::shed});  // memory ran out
    timer.expires_after(kPoll);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

Routes::Answer Routes::generate_one(const Request& request, const Json& body, const Caller& caller,
                                    std::optional<std::uint8_t> level) const {
  const auto wanted = read_wanted(body);
  if (!wanted) co_return bad_request(wanted.error());
  weir::Request asked{.user = caller.user, .wait = weir::kAsConfigured};
  asked.priority = level.value_or(asked.priority);
  weir::Admission admission = co_await admit(generation_, asked);
  if (!admission) co_return refusal(generation_, asked, admission);
  if (caller.admin && query_has(request, "slow=1")) {
    asio::steady_timer model(co_await asio::this_coro::executor, kSlow);
    co_await model.async_wait(asio::use_awaitable);
  }
  if (caller.admin && query_has(request, "fail=1")) {
    admission.fail();
    co_return answer_error(http::status::bad_gateway, "model_failed", "the model failed, as it was asked to");
  }
  Json caption = make_caption(*wanted);
  if (level) caption["priority_level"] = *level;
  admission.succeed();
  co_return answered(generation_, asked, caption);
}

Response Routes::generate_batch(const Request& request, const Caller& caller) const {
  const auto body = parse_object(request.body());
  if (!body) return bad_request(body.error());
  const auto batch = read_batch(*body);
  if (!batch) return bad_request(batch.error());

  const auto cost = static_cast<std::uint32_t>(batch->size());
  const weir::Request asked{.user = caller.user, .cost = cost};
  weir::Admission admission = limiter_->admit(batch_, asked);
  if (!admission) return refusal(batch_, asked, admission);
  Json captions = Json::array();
  for (const Wanted& wanted : *batch) captions.push_back(make_caption(wanted));
  admission.succeed();
  return answered(batch_, asked, {{"captions", captions}});
}

Response Routes::answered(weir::Operation operation, const weir::Request& request, const Json& body) const {
  Response response = answer_json(http::status::ok, body);
  const weir::HttpAnswer answer = weir::http_answer({}, limiter_->quotas(operation, request));
  for (const weir::HttpField& field : answer.fields) response.set(field.name, field.value);
  return response;
}

Response Routes::limits_status(const Request&, const Caller&) const {
  const auto snapshot = weir::take_snapshot(limiter_->config().segment.name);
  if (!snapshot) {
    return answer_error(http::status::service_unavailable, "no_status", snapshot.error().message());
  }
  Json status{{"segment", snapshot->segment}};
  // The status shows these as shm-inspect does. Workers and programs are left out: clients need not know them.
  const auto add = [&](const auto& part) {
    status[std::string(part.key)] = weir::as_json<Json>(part, *snapshot);
  };
  add(weir::kSharedLimits);
  add(weir::kUserLimits);
  add(weir::kSharedPermits);
  add(weir::kUserPermits);
  add(weir::kWindows);
  add(weir::kCooldowns);
  add(weir::kBreakers);
  add(weir::kQueues);
  add(weir::kUserTable);
  return answer_json(http::status::ok, status);
}

Response Routes::limits_reset(const Request&, const Caller&) const {
  const weir::ResetReport report = limiter_->reset();
  return answer_json(http::status::ok, {{"limits_reset", report.limits}, {"users_reset", report.users}});
}

Response Routes::refusal(weir::Operation operation, const weir::Request& request,
                         const weir::Admission& admission) const {
  const std::string limit = limiter_->limit_name(admission.limit());
  if (admission.verdict() == weir::Verdict::never) return too_costly(operation, request, limit);
  const weir::HttpAnswer answer =
      weir::http_answer(admission.decision(), limiter_->quotas(operation, request));
  if (admission.verdict() == weir::Verdict::invalid) {
    return answer_error(http::status::service_unavailable, "service_unavailable",
                        "this operation was taken out of the limits; it is not served");
  }
  Response response =
      answer_json(static_cast<http::status>(answer.status),
                  {{"error", answer.error},
                   {"message", fmt::format("refused by {}; try again in {} s", limit, answer.retry_after)},
                   {"retry_after", answer.retry_after},
                   {"limit", limit}});
  for (const weir::HttpField& field : answer.fields) response.set(field.name, field.value);
  return response;
}

Response Routes::too_costly(weir::Operation operation, const weir::Request& request,
                            std::string_view limit) const {
  std::uint32_t fits = request.cost;
  for (const weir::Quota& quota : limiter_->quotas(operation, request)) fits = std::min(fits, quota.quota);
  return answer_json(
      http::status::bad_request,
      {{"error", weir::http_answer({weir::Verdict::never}).error},
       {"message", fmt::format("{} requests at once are more than {} ever holds; send at most {}",
                               request.cost, limit, fits)},
       {"limit", limit},
       {"largest", fits}});
}

}  // namespace captions

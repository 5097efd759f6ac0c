// SPDX-License-Identifier: Apache-2.0
#include "routes.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
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
#include "weir/report.hpp"

#include "dashboard.hpp"
#include "refusal.hpp"
#include "target.hpp"

namespace captions {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::string_view kBatchPath = "/api/v14/batch";
constexpr std::string_view kBatchResultPath = "/api/v14/batch/";

/// A larger batch is not deferred. Its captions may take twice as many bytes, and a result has room for that.
constexpr std::size_t kMostDeferred = BatchResults::kMostText / 4;

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

bool is_same(std::string_view one, std::string_view other) {
  return boost::beast::iequals({one.data(), one.size()}, {other.data(), other.size()});
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

/// Whether the client prefers not to wait for the result (RFC 7240, section 4.1).
bool prefers_async(const Request& request) {
  const auto [first, last] = request.equal_range(http::field::prefer);
  for (auto field = first; field != last; ++field) {
    std::string_view left(field->value().data(), field->value().size());
    while (!left.empty()) {
      const std::string_view one = left.substr(0, left.find(','));
      left.remove_prefix(std::min(left.size(), one.size() + 1));
      if (is_same(trim(one.substr(0, one.find_first_of(";="))), "respond-async")) return true;
    }
  }
  return false;
}

Drill read_drill(const Request& request, const Caller& caller) {
  if (!caller.admin) return {};
  return {.slow = query_has(request, "slow=1"), .fail = query_has(request, "fail=1")};
}

Response model_failed(const ModelFailed& failed) {
  return answer_error(http::status::bad_gateway, "model_failed", failed.what());
}

std::string_view status_text(BatchStatus status) {
  switch (status) {
    case BatchStatus::processing:
      return "processing";
    case BatchStatus::completed:
      return "completed";
    case BatchStatus::failed:
      break;
  }
  return "failed";
}

Response accepted(const std::string& id) {
  Response response = answer_json(http::status::accepted,
                                  {{"request_id", id}, {"status", status_text(BatchStatus::processing)}});
  response.set(http::field::location, std::string(kBatchResultPath) + id);
  response.set(http::field::preference_applied, "respond-async");
  return response;
}

Response bad_request(const weir::Error& error) {
  return answer_error(http::status::bad_request, "invalid_request", error.what);
}

}  // namespace

Response answer_json(http::status status, const Json& body) {
  Response response(status, 11);
  response.set(http::field::content_type, "application/json");
  response.body() = dump(body) + "\n";
  return response;
}

Response answer_error(http::status status, std::string_view code, std::string_view message) {
  return answer_json(status, error_body(code, message));
}

struct Routes::Route {
  std::string_view path;  // with a '/' at its end: what follows is the id of a thing
  http::verb method;
  bool admin_only;

  [[nodiscard]] bool matches(std::string_view asked) const noexcept {
    return path.back() == '/' ? asked.size() > path.size() && asked.substr(0, path.size()) == path
                              : asked == path;
  }
  // One of these: a handler that answers at once, or one that may wait.
  Response (Routes::*at_once)(const Request&, const Caller&) const;
  Answer (Routes::*waiting)(const Request&, const Caller&) const;
};

const Routes::Route Routes::kRoutes[] = {
    {"/api/v14/generate", http::verb::post, false, nullptr, &Routes::generate},
    {"/api/v14/generate/priority", http::verb::post, false, nullptr, &Routes::generate_priority},
    {kBatchPath, http::verb::post, false, nullptr, &Routes::generate_batch},
    {kBatchResultPath, http::verb::get, false, &Routes::batch_result, nullptr},
    {"/api/v14/limits/status", http::verb::get, false, &Routes::limits_status, nullptr},
    {"/api/v14/limits/reset", http::verb::post, true, &Routes::limits_reset, nullptr},
    {"/api/v14/metrics/dashboard", http::verb::get, false, &Routes::dashboard, nullptr},
    {"/metrics", http::verb::get, false, &Routes::metrics, nullptr},
};

Routes::Routes(weir::Limiter& limiter, ApiKeys keys, bool anonymous, weir::Operation generation,
               weir::Operation batch, Batches& batches)
    : limiter_(&limiter),
      keys_(std::move(keys)),
      anonymous_(anonymous),
      generation_(generation),
      batch_(batch),
      batches_(&batches) {}

weir::Result<Routes> Routes::create(weir::Limiter& limiter, ApiKeys keys, bool anonymous, Batches& batches) {
  const auto generation = limiter.operation(kGeneration);
  if (!generation) return generation.error();
  const auto batch = limiter.operation(kBatch);
  if (!batch) return batch.error();
  return Routes(limiter, std::move(keys), anonymous, *generation, *batch, batches);
}

std::optional<Caller> Routes::identify(const Request& request, std::string_view client) const {
  if (anonymous_ && request.count(http::field::authorization) == 0) return Caller{std::string(client), false};
  const Caller* const caller = keys_.find(bearer_key(request));
  return caller == nullptr ? std::nullopt : std::optional(*caller);
}

Routes::Answer Routes::answer(const Request& request, std::string_view client) const {
  const auto matches = [path = target_of(request).path](const Route& route) { return route.matches(path); };
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
  if (!admission) co_return refusal(generation_, asked, admission.decision());
  const Drill drill = read_drill(request, caller);
  if (drill.slow) {
    asio::steady_timer model(co_await asio::this_coro::executor, kSlowModel);
    co_await model.async_wait(asio::use_awaitable);
  }
  if (drill.fail) {
    admission.fail();
    co_return model_failed(ModelFailed());
  }
  Json caption = make_caption(*wanted);
  if (level) caption["priority_level"] = *level;
  admission.succeed();
  co_return answered(generation_, asked, caption);
}

Routes::Answer Routes::generate_batch(const Request& request, const Caller& caller) const {
  const auto body = parse_object(request.body());
  if (!body) co_return bad_request(body.error());
  auto batch = read_batch(*body);
  if (!batch) co_return bad_request(batch.error());

  const auto cost = static_cast<std::uint32_t>(batch->size());
  const weir::Request asked{.user = caller.user, .cost = cost, .wait = weir::kAsConfigured};
  const bool deferred = prefers_async(request) && request.body().size() <= kMostDeferred;
  const auto id = deferred ? batches_->results().begin(caller.user) : std::nullopt;
  Batches::Future done = batches_->submit(asked, *std::move(batch), read_drill(request, caller));
  const auto executor = co_await asio::this_coro::executor;
  if (id && !is_refused(done)) {
    if (batches_->keep(*id, asked, std::move(done))) {
      co_spawn(executor, batches_->collect_all(), asio::detached);
    }
    co_return accepted(*id);
  }
  if (id) batches_->results().forget(*id);
  asio::steady_timer timer(executor);
  while (!is_ready(done)) {
    timer.expires_after(kPoll);
    co_await timer.async_wait(asio::use_awaitable);
  }
  try {
    const auto& result = done.get();
    if (!result) co_return refusal(batch_, asked, result.decision);
    co_return answered(batch_, asked, *result.value);
  } catch (const ModelFailed& failed) {
    co_return model_failed(failed);
  }
}

Response Routes::batch_result(const Request& request, const Caller& caller) const {
  const std::string id(target_of(request).path.substr(kBatchResultPath.size()));
  const auto found = batches_->results().find(id, caller.user);
  if (!found) {
    return answer_error(http::status::not_found, "not_found", "you have no batch of this id, or no longer");
  }
  Json body = Json::object();
  if (!found->text.empty()) {
    body = Json::parse(found->text);
  } else if (found->status == BatchStatus::failed) {
    body = error_body("batch_lost", "the worker ended before the batch was done; send it again");
  }
  body["request_id"] = id;
  body["status"] = status_text(found->status);
  return answer_json(http::status::ok, body);
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

Response Routes::metrics(const Request&, const Caller&) const {
  const auto metrics = limiter_->snapshot().and_then(weir::to_prometheus);
  if (!metrics)
    return answer_error(http::status::service_unavailable, "no_metrics", metrics.error().message());
  Response response(http::status::ok, 11);
  response.set(http::field::content_type, {weir::kPrometheusType.data(), weir::kPrometheusType.size()});
  response.body() = *metrics;
  return response;
}

Response Routes::dashboard(const Request&, const Caller&) const {
  const auto snapshot = limiter_->snapshot();
  if (!snapshot)
    return answer_error(http::status::service_unavailable, "no_metrics", snapshot.error().message());
  return answer_json(http::status::ok, dashboard_of(*snapshot));
}

Response Routes::limits_reset(const Request&, const Caller&) const {
  const weir::ResetReport report = limiter_->reset();
  return answer_json(http::status::ok, {{"limits_reset", report.limits}, {"users_reset", report.users}});
}

Response Routes::refusal(weir::Operation operation, const weir::Request& request,
                         const weir::Decision& decision) const {
  const Refusal refusal = describe_refusal(*limiter_, operation, request, decision);
  Response response = answer_json(refusal.status, refusal.body);
  for (const weir::HttpField& field : refusal.fields) response.set(field.name, field.value);
  return response;
}

}  // namespace captions

// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include <utility>  // asio/awaitable.hpp uses it and does not include it
// clang-format on
#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string_view>

#include "weir/error.hpp"
#include "weir/limiter.hpp"

#include "api_keys.hpp"
#include "batches.hpp"
#include "captions.hpp"

namespace captions {

using Request = boost::beast::http::request<boost::beast::http::string_body>;
using Response = boost::beast::http::response<boost::beast::http::string_body>;

/// The operations that the routes are limited by.
inline constexpr std::string_view kGeneration = "caption_generation";
inline constexpr std::string_view kBatch = "batch_processing";

/// An answer with a JSON body.
[[nodiscard]] Response answer_json(boost::beast::http::status status, const Json& body);

/// An answer with `error_body(code, message)`.
[[nodiscard]] Response answer_error(boost::beast::http::status status, std::string_view code,
                                    std::string_view message);

/// Turns requests into answers. What is wrong with a request is told before the limits are asked: only work
/// that could be done is charged.
class Routes {
 public:
  /// @param anonymous  requests without a key are served, too.
  /// Errors  Errc::not_in_segment when the limiter lacks an operation that the routes need.
  [[nodiscard]] static weir::Result<Routes> create(weir::Limiter& limiter, ApiKeys keys, bool anonymous,
                                                   Batches& batches);

  /// A request for captions may wait for a permit, while the worker serves other connections.
  /// @param client  whose connection it is: the user of a request without a key. It and `request` outlive the answer.
  [[nodiscard]] boost::asio::awaitable<Response> answer(const Request& request,
                                                        std::string_view client) const;

 private:
  struct Route;
  static const Route kRoutes[];

  Routes(weir::Limiter& limiter, ApiKeys keys, bool anonymous, weir::Operation generation,
         weir::Operation batch, Batches& batches);

  /// The caller that sent a request; none if the request needs a known key and does not have one.
  [[nodiscard]] std::optional<Caller> identify(const Request& request, std::string_view client) const;
  using Answer = boost::asio::awaitable<Response>;
  [[nodiscard]] Answer generate(const Request& request, const Caller& caller) const;
  [[nodiscard]] Answer generate_priority(const Request& request, const Caller& caller) const;
  /// Captions for many requests. With `Prefer: respond-async` (RFC 7240) it is answered at once, 202, and the captions are
  /// fetched from its Location; unless the batch is large or too many results are kept already: then it is answered as
  /// without. The drills are those of generate_one().
  [[nodiscard]] Answer generate_batch(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response batch_result(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response limits_status(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response limits_reset(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response dashboard(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response metrics(const Request& request, const Caller& caller) const;

  /// One caption. An administrator may ask for a drill, in the query: `fail=1`, a model that fails, answered 502;
  /// `slow=1`, one that takes half a second.
  /// @param level  how urgent it is; the answer repeats it. Nothing: as any other.
  [[nodiscard]] Answer generate_one(const Request& request, const Json& body, const Caller& caller,
                                    std::optional<std::uint8_t> level) const;
  /// Waits in the queue of an operation, for as long as that lets a request wait.
  [[nodiscard]] boost::asio::awaitable<weir::Admission> admit(weir::Operation operation,
                                                              weir::Request request) const;
  /// An answer to an admitted request, with what is left of its limits.
  [[nodiscard]] Response answered(weir::Operation operation, const weir::Request& request,
                                  const Json& body) const;
  [[nodiscard]] Response refusal(weir::Operation operation, const weir::Request& request,
                                 const weir::Decision& decision) const;

  weir::Limiter* limiter_;
  ApiKeys keys_;
  bool anonymous_;
  weir::Operation generation_;
  weir::Operation batch_;
  Batches* batches_;
};

}  // namespace captions

#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string_view>

#include "weir/error.hpp"
#include "weir/limiter.hpp"

#include "api_keys.hpp"
#include "captions.hpp"

namespace captions {

using Request = boost::beast::http::request<boost::beast::http::string_body>;
using Response = boost::beast::http::response<boost::beast::http::string_body>;

/// An answer with a JSON body.
[[nodiscard]] Response answer_json(boost::beast::http::status status, const Json& body);

/// `{"error": code, "message": message}`
[[nodiscard]] Response answer_error(boost::beast::http::status status, std::string_view code,
                                    std::string_view message);

/// Turns requests into answers. What is wrong with a request is told before the limits are asked: only work
/// that could be done is charged.
class Routes {
 public:
  /// Errors  Errc::not_found when the limiter lacks an operation that the routes need.
  [[nodiscard]] static weir::Result<Routes> create(weir::Limiter& limiter, ApiKeys keys);

  [[nodiscard]] Response answer(const Request& request) const;

 private:
  struct Route;
  static const Route kRoutes[];

  Routes(weir::Limiter& limiter, ApiKeys keys, weir::Operation generation, weir::Operation batch);

  [[nodiscard]] Response generate(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response generate_priority(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response generate_batch(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response limits_status(const Request& request, const Caller& caller) const;
  [[nodiscard]] Response limits_reset(const Request& request, const Caller& caller) const;

  /// One caption, with what the answer shall repeat of the request. An administrator may ask for a drill, in
  /// the query: `fail=1`, a model that fails, answered 502; `slow=1`, one that takes half a second.
  [[nodiscard]] Response generate_one(const Request& request, const Json& body, const Caller& caller,
                                      const Json& echo) const;
  /// An answer to an admitted request, with what is left of its limits.
  [[nodiscard]] Response answered(weir::Operation operation, const weir::Request& request,
                                  const Json& body) const;
  [[nodiscard]] Response refusal(weir::Operation operation, const weir::Request& request,
                                 const weir::Admission& admission) const;

  weir::Limiter* limiter_;
  ApiKeys keys_;
  weir::Operation generation_;
  weir::Operation batch_;
};

}  // namespace captions

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/beast/http/status.hpp>
#include <vector>

#include "weir/decision.hpp"
#include "weir/http.hpp"
#include "weir/limiter.hpp"

#include "captions.hpp"

namespace captions {

/// What a client is told whose request the limits have refused.
struct Refusal {
  boost::beast::http::status status;
  Json body;
  std::vector<weir::HttpField> fields;
};

[[nodiscard]] Refusal describe_refusal(weir::Limiter& limiter, weir::Operation operation,
                                       const weir::Request& request, const weir::Decision& decision);

}  // namespace captions

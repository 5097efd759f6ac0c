// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>

namespace weir::detail {

/// Stops when one of two tokens does. It may throw std::bad_alloc when it is made.
class EitherStop {
 public:
  EitherStop(const std::stop_token& one, const std::stop_token& other)
      : token_(source_.get_token()), on_one_(one, Request{&source_}), on_other_(other, Request{&source_}) {}

  [[nodiscard]] const std::stop_token& token() const noexcept { return token_; }

 private:
  struct Request {
    std::stop_source* source;
    void operator()() const noexcept { source->request_stop(); }
  };

  std::stop_source source_;
  std::stop_token token_;
  std::stop_callback<Request> on_one_;
  std::stop_callback<Request> on_other_;
};

}  // namespace weir::detail

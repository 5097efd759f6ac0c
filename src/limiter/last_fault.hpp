// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is wrong just now, if anything: set where it is met, and asked for by any thread.
//
// A thread may ask while another one sets the next fault. So every error that was ever set stays in a list, and
// the fault is a pointer into it, exchanged as one word. The same error gets the same pointer: few errors
// differ, and they come back again and again.

#include <atomic>
#include <optional>

#include "weir/error.hpp"

#include "limiter/growing_list.hpp"

namespace weir::detail {

class LastFault {
 public:
  /// @return whether the fault is news: it is not the one that was set before.
  bool set(const Error& error) {
    const Error* known = errors_.find(
        [&](const Error& one) { return one.code == error.code && one.message() == error.message(); });
    if (known == nullptr) known = &errors_.push(error);
    return last_.exchange(known, std::memory_order_acq_rel) != known;
  }
  void clear() noexcept { last_.store(nullptr, std::memory_order_release); }

  [[nodiscard]] std::optional<Error> get() const {
    const Error* const last = last_.load(std::memory_order_acquire);
    return last != nullptr ? std::optional(*last) : std::nullopt;
  }

 private:
  GrowingList<Error> errors_;
  std::atomic<const Error*> last_{nullptr};  // of errors_; nullptr: all is well
};

}  // namespace weir::detail

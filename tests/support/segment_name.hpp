// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <unistd.h>

#include "weir/limiter.hpp"

#include "segment/layout.hpp"

namespace weir::test {

/// The name of a segment that only this test uses; the segment is removed at the end of the scope.
class SegmentName {
 public:
  SegmentName() : name_("test-" + std::to_string(::getpid()) + "-" + std::to_string(next()++)) {}
  SegmentName(const SegmentName&) = delete;
  SegmentName& operator=(const SegmentName&) = delete;
  ~SegmentName() {
    if (owner_ == ::getpid()) (void)remove_segment(name_);
  }

  [[nodiscard]] const std::string& str() const noexcept { return name_; }
  [[nodiscard]] std::string path() const {
    return "/dev/shm/weir.v" + std::to_string(detail::kLayoutVersion) + "." + name_;
  }

 private:
  static std::atomic<int>& next() {
    static std::atomic<int> number{0};
    return number;
  }

  pid_t owner_ = ::getpid();
  std::string name_;
};

}  // namespace weir::test
